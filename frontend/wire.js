/**
 * Frames ↔ text, exactly as `docs/wire.md` says. Pure: no socket, no clock.
 *
 * Going out: `encodeCall`, `encodeBeat`. Coming in: `decode` answers a frame whose `type` is `reply`, `change`, `data`,
 * `resync`, `heartbeat`, `health` or `unknown` (a newer server may say more than this client knows: ignore those).
 */

import { RealtimeError } from "./errors.js";

/** The server refuses longer messages and closes with 1009; saying so here keeps the connection. */
export const MAX_CALL_BYTES = 64 * 1024;

/**
 * @typedef {[epoch: string, offset: number]} Position
 * @typedef {Record<string, Position>} Positions by channel
 * @typedef {{id: number | string, _type?: string, [field: string]: any}} Item a published object
 *
 * @typedef {object} ChannelData
 * @property {string} [local_channel] the client's own name of the subscription
 * @property {string[]} [remote_channels]
 * @property {string} [action]
 *
 * @typedef {object} Reply
 * @property {"reply"} type
 * @property {string | null} name `callbackname` of the call it answers
 * @property {string} verb
 * @property {"success" | "error" | "login_required"} state
 * @property {any} data
 * @property {{code: string, message: string, temporary?: boolean} | null} error
 * @property {Positions | null} position
 * @property {boolean | null} recovered
 * @property {number | null} part
 * @property {boolean} more whether further parts of this snapshot follow
 * @property {ChannelData | null} channelData
 * @property {Record<string, any>} context everything else the server said about the call
 *
 * @typedef {{type: "change", action: "created" | "updated" | "deleted", channel: string, data: Item, offset: number | null, gone: boolean}} Change
 * @typedef {{type: "data", channel: string, data: any, offset: number | null}} DataMessage
 * @typedef {{type: "resync", channel: string, position: Positions | null}} Resync
 * @typedef {{type: "heartbeat", position: Positions | null}} Heartbeat
 * @typedef {{type: "unknown", frame: unknown}} Unknown
 *
 * @typedef {object} Health what the server knows to be broken
 * @property {"health"} type
 * @property {boolean} behind what is shown may be older than what is stored
 * @property {boolean} saving false: nothing can be changed
 * @property {boolean} complete false: something that should be shown is missing
 * @property {number | null} since the server's time in milliseconds: when the first of it began
 * @property {{part: string, since: number}[] | null} parts which, for those who may know
 *
 * @typedef {Reply | Change | DataMessage | Resync | Heartbeat | Health | Unknown} Frame
 */

/**
 * @param {string} verb
 * @param {string} route
 * @param {Record<string, unknown>} args
 * @param {string | null} name comes back as `client_callback_name`
 * @returns {string}
 * @throws {RealtimeError} `too_large`, or `bad_args` for what JSON cannot carry (NaN, infinities)
 */
export function encodeCall(verb, route, args, name) {
  const text = JSON.stringify({ verb, route, args, callbackname: name }, refuseUnsayable);
  if (byteLength(text) > MAX_CALL_BYTES) {
    throw new RealtimeError("too_large", `A call may have ${MAX_CALL_BYTES} bytes at most.`);
  }
  return text;
}

/** @returns {string} */
export function encodeBeat() {
  return '{"heartbeat": "1"}';
}

/**
 * @param {unknown} text
 * @returns {Frame}
 * @throws {RealtimeError} `bad_frame`: what follows on this connection cannot be trusted any more
 */
export function decode(text) {
  const frame = parse(text);
  switch (kindOf(frame)) {
    case "reply":
      return reply(frame);
    case "change":
      return change(frame);
    case "data":
      return { type: "data", channel: String(frame.channel), data: frame.data, offset: typeof frame.offset === "number" ? frame.offset : null };
    case "resync":
      return { type: "resync", channel: String(frame.channel), position: positions(frame.position) };
    case "heartbeat":
      return { type: "heartbeat", position: positions(frame.position) };
    case "health":
      return health(frame);
    default:
      return { type: "unknown", frame };
  }
}

/**
 * @param {unknown} text
 * @returns {Record<string, any>}
 */
function parse(text) {
  if (typeof text !== "string") throw new RealtimeError("bad_frame", "A frame was not text.");
  let frame;
  try {
    frame = JSON.parse(text);
  } catch {
    throw new RealtimeError("bad_frame", "A frame was not JSON.");
  }
  if (frame === null || typeof frame !== "object" || Array.isArray(frame)) {
    throw new RealtimeError("bad_frame", "A frame was not an object.");
  }
  return frame;
}

/**
 * The frame's own word, or for SwampDragon servers, which send none, its shape.
 * @param {Record<string, any>} frame
 */
function kindOf(frame) {
  if (typeof frame.type === "string") return frame.type;
  if (frame.context) return "reply";
  if (frame.heartbeat) return "heartbeat";
  if (frame.action === "resync") return "resync";
  if (frame.action) return "change";
  return frame.channel === undefined ? "unknown" : "data";
}

/**
 * @param {Record<string, any>} frame
 * @returns {Reply}
 */
function reply(frame) {
  const context = isRecord(frame.context) ? frame.context : {};
  const channelData = isRecord(frame.channel_data) ? frame.channel_data : null;
  return {
    type: "reply",
    name: context.client_callback_name ?? null,
    verb: String(context.verb ?? ""),
    state: context.state,
    data: frame.data,
    error: isRecord(context.error)
      ? { code: String(context.error.code), message: String(context.error.message ?? ""), temporary: context.error.temporary }
      : null,
    position: positions(context.position),
    recovered: typeof context.recovered === "boolean" ? context.recovered : null,
    part: typeof context.part === "number" ? context.part : null,
    more: context.more === true,
    channelData,
    context,
  };
}

/**
 * @param {Record<string, any>} frame
 * @returns {Change}
 */
function change(frame) {
  if (!isRecord(frame.data) || frame.data.id === undefined) throw new RealtimeError("bad_frame", "A change had no object.");
  return {
    type: "change",
    action: frame.action,
    channel: String(frame.channel),
    data: /** @type {Item} */ (frame.data),
    offset: typeof frame.offset === "number" ? frame.offset : null,
    gone: frame.action === "deleted" && (frame.gone ?? frame.data.gone ?? true) !== false,
  };
}

/**
 * What a newer server may leave out is as if all were well.
 * @param {Record<string, any>} frame
 * @returns {Health}
 */
function health({ behind, saving, complete, since, parts }) {
  const named = Array.isArray(parts) ? parts.filter(isRecord) : null;
  return {
    type: "health",
    behind: behind === true,
    saving: saving !== false,
    complete: complete !== false,
    since: time(since),
    parts: named && named.map((one) => ({ part: String(one.part), since: time(one.since) ?? 0 })),
  };
}

/**
 * @param {unknown} text
 * @returns {number | null}
 */
function time(text) {
  const milliseconds = typeof text === "string" ? Date.parse(text) : Number.NaN;
  return Number.isNaN(milliseconds) ? null : milliseconds;
}

/**
 * @param {unknown} value
 * @returns {Positions | null}
 */
function positions(value) {
  if (!isRecord(value)) return null;
  /** @type {Positions} */
  const found = {};
  for (const [channel, position] of Object.entries(value)) {
    if (Array.isArray(position) && position.length === 2) found[channel] = [String(position[0]), Number(position[1])];
  }
  return found;
}

/**
 * @param {unknown} value
 * @returns {value is Record<string, any>}
 */
function isRecord(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * JSON.stringify would turn these into `null`, which is another value.
 * @param {string} key
 * @param {unknown} value
 */
function refuseUnsayable(key, value) {
  if (typeof value === "number" && !Number.isFinite(value)) {
    throw new RealtimeError("bad_args", `${key || "A value"} is not a finite number.`);
  }
  return value;
}

/** @param {string} text */
function byteLength(text) {
  // Three bytes are the most a UTF-16 unit becomes: short texts need no count.
  return text.length * 3 <= MAX_CALL_BYTES ? text.length : new TextEncoder().encode(text).length;
}
