/**
 * What a card says about a device: which value stands large, whether a wish stands beside it, what the switch may do.
 * Pure: the device as published, and the moment it is looked at.
 *
 * The one rule: what is shown as the state is what the device reported. What was asked for is a wish beside it.
 */

import { age, clockTime, number, title } from "./words.js";

/**
 * @typedef {object} Key how one value of a device is to be read
 * @property {"bool" | "number" | "enum" | "text"} kind
 * @property {boolean} [writable]
 * @property {string} [unit]
 * @property {number} [min]
 * @property {number} [max]
 * @property {number} [step]
 * @property {number} [decimals]
 * @property {string} [label]
 * @property {string[]} [options] of an enum
 * @property {[string, string]} [words] for bool: what false and true are called
 * @property {boolean} [main] the value that stands large
 *
 * @typedef {object} Device
 * @property {number | string} id
 * @property {string} uid
 * @property {string} name
 * @property {string} type slug of the device type
 * @property {string} [type_name]
 * @property {string} [detail]
 * @property {Record<string, Key>} [schema]
 * @property {boolean} [enabled]
 * @property {number | null} [location]
 * @property {string | null} [location_name]
 * @property {Record<string, any>} [desired]
 * @property {Record<string, any>} [reported]
 * @property {boolean | null} [is_on]
 * @property {"unknown" | "online" | "sleeping" | "offline" | "lost"} presence
 * @property {string | null} [last_seen]
 * @property {string | null} [reported_at]
 * @property {{values: Record<string, any>, since: string, until?: string, by?: string, via?: string, state?: string} | null} [pending]
 * @property {{code: string, message?: string, at?: string, values?: Record<string, any>} | null} [failed]
 * @property {string} [icon]
 *
 * @typedef {object} Moment
 * @property {number} now the server's time in milliseconds
 * @property {string | null} barrier why no command makes sense now, or null
 * @property {boolean} viewOnly
 * @property {Record<string, any> | null} [asking] a wish of ours the server has not answered yet
 *
 * @typedef {"confirmed" | "pending" | "failed" | "offline" | "unknown"} State
 *
 * @typedef {object} Control
 * @property {string} key
 * @property {any} value as reported; undefined when not known
 * @property {any} wish what was asked for and is not reported yet; undefined when nothing is
 * @property {string | null} locked why it cannot be used, or null
 * @property {Key} schema
 *
 * @typedef {object} Face
 * @property {State} state
 * @property {string} name
 * @property {string} detail
 * @property {string} icon
 * @property {boolean} on
 * @property {boolean} measures a sensor: nothing to switch
 * @property {string} value
 * @property {string} unit
 * @property {string | null} wish
 * @property {Control | null} toggle
 * @property {Control | null} slider
 * @property {string} doing what is under way: "Turning on"
 * @property {string | null} battery
 * @property {number | null} pendingSince
 * @property {string} problem
 * @property {boolean} retry whether asking once more makes sense
 * @property {number | null} seen when its values were true
 */

/**
 * @param {Device} device
 * @param {Moment} moment
 * @returns {Face}
 */
export function face(device, moment) {
  const keys = device.schema ?? {};
  const reported = device.reported ?? {};
  const state = stateOf(device, moment);
  const wishes = wishesOf(device, moment);
  const main = mainKey(keys);
  const locked = lockOf(device, state, moment);
  const control = (/** @type {string | undefined} */ key) => key === undefined ? null : {
    key, value: reported[key], wish: wishes[key], locked, schema: keys[key],
  };
  const toggle = control(switchKey(keys));
  const slider = control(sorted(keys).find((key) => isDial(keys[key])));
  const [value, unit] = main === undefined ? ["—", ""] : words(keys[main], reported[main]);
  const wish = main !== undefined && main in wishes ? words(keys[main], wishes[main])[0] : null;
  return {
    state,
    name: device.name,
    detail: detailOf(device, keys, main),
    icon: iconOf(device, keys),
    on: (toggle ? toggle.value === true : device.is_on === true) && state !== "unknown",
    measures: !toggle && !slider,
    value,
    unit,
    wish,
    toggle,
    slider,
    doing: doingOf(keys, wishes),
    battery: reported.battery == null ? null : words({ kind: "number", unit: "%", decimals: 0 }, reported.battery).join(" "),
    pendingSince: time(device.pending?.since),
    problem: state === "failed" ? problemOf(device) : "",
    retry: state === "failed" && !locked && Boolean(device.failed?.values),
    seen: time(device.reported_at) ?? time(device.last_seen),
  };
}

/**
 * @param {Device} device
 * @param {{asking?: object | null}} [moment]
 * @returns {State}
 */
export function stateOf(device, moment = {}) {
  const silent = device.presence === "offline" || device.presence === "lost";
  if (silent) return "offline";
  if (device.pending || moment.asking) return "pending";
  if (device.failed) return "failed";
  // Never heard of: neither off nor offline.
  if (Object.keys(device.reported ?? {}).length === 0) return "unknown";
  return "confirmed";
}

/** Somebody should do something: the last command came to nothing, or the device is away. @param {Device} device */
export function needsAttention(device) {
  return Boolean(device.failed) || device.presence === "offline" || device.presence === "lost";
}

/**
 * The age line of a card.
 * @param {Face} face
 * @param {Device} device
 * @param {number} now
 * @returns {string}
 */
export function seenWords(face, device, now) {
  if (face.state === "offline") {
    const since = time(device.last_seen);
    return since === null ? "" : `since ${clockTime(since, now)}`;
  }
  if (face.seen === null) return device.presence === "unknown" ? "Not heard from yet" : "No value yet";
  return (device.presence === "sleeping" ? "Sleeping, " : "") + age(now - face.seen);
}

/**
 * A value in words and its unit.
 * @param {Key | undefined} key
 * @param {any} value
 * @returns {[string, string]}
 */
export function words(key, value) {
  if (value === undefined || value === null) return ["—", ""];
  if (typeof value === "boolean") return [key?.words?.[value ? 1 : 0] ?? (value ? "On" : "Off"), ""];
  // Decimals travel as text.
  const numeric = key?.kind === "number" ? Number(value) : value;
  if (typeof numeric === "number" && Number.isFinite(numeric)) return [number(numeric, key?.decimals), key?.unit ?? ""];
  return [String(value), key?.unit ?? ""];
}

/**
 * @param {string | null | undefined} text
 * @returns {number | null}
 */
export function time(text) {
  const milliseconds = Date.parse(text ?? "");
  return Number.isNaN(milliseconds) ? null : milliseconds;
}

/**
 * The key that stands large and that a line on the card follows.
 * @param {Record<string, Key>} keys
 * @returns {string | undefined}
 */
export function mainKey(keys) {
  const names = sorted(keys);
  return (
    names.find((name) => keys[name].main) ??
    names.find((name) => isDial(keys[name])) ??
    switchKey(keys) ??
    names.find((name) => keys[name].kind === "number" && !ASIDE.has(name)) ??
    names[0]
  );
}

/** What says how the device itself is doing, not what it measures. */
const ASIDE = new Set(["battery", "signal"]);

/**
 * The order of a JSON object's keys means nothing: without one of our own, cards would differ between databases.
 * @param {Record<string, Key>} keys
 */
function sorted(keys) {
  return Object.keys(keys).sort();
}

/**
 * @param {Record<string, Key>} keys
 * @returns {string | undefined}
 */
function switchKey(keys) {
  if (keys.on?.kind === "bool") return keys.on.writable ? "on" : undefined;
  return sorted(keys).find((name) => keys[name].writable && keys[name].kind === "bool");
}

/** @param {Key} key */
function isDial(key) {
  return key.kind === "number" && key.writable === true && key.min !== undefined && key.max !== undefined;
}

/**
 * @param {Device} device
 * @param {Moment} moment
 * @returns {Record<string, any>} what is asked for and differs from what is reported
 */
function wishesOf(device, { asking }) {
  const asked = { ...device.pending?.values, ...asking };
  return Object.fromEntries(Object.entries(asked).filter(([key, value]) => !equal(device.reported?.[key], value)));
}

/**
 * @param {any} a
 * @param {any} b
 */
function equal(a, b) {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}

/**
 * @param {Device} device
 * @param {State} state
 * @param {Moment} moment
 * @returns {string | null}
 */
function lockOf(device, state, { barrier, viewOnly }) {
  if (viewOnly) return "View only";
  if (device.enabled === false) return "The device is switched out of use";
  if (state === "offline") return "The device is offline";
  if (state === "unknown") return "Its state is not known yet";
  return barrier;
}

/**
 * @param {Record<string, Key>} keys
 * @param {Record<string, any>} wishes
 */
function doingOf(keys, wishes) {
  const [key] = Object.keys(wishes);
  if (key === undefined) return "Waiting";
  const wish = wishes[key];
  if (typeof wish === "boolean" && !keys[key]?.words) return wish ? "Turning on" : "Turning off";
  const [value, unit] = words(keys[key], wish);
  return typeof wish === "boolean" ? `To ${value.toLowerCase()}` : `Going to ${value}${unit && ` ${unit}`}`;
}

/** @param {Device} device */
function problemOf({ failed }) {
  switch (failed?.code) {
    case "no_answer":
      return "No answer";
    case "undelivered":
      return "Not reached";
    case "refused":
      return failed.message ? `Refused: ${failed.message}` : "Refused";
    default:
      return failed?.message || "Failed";
  }
}

/**
 * @param {Device} device
 * @param {Record<string, Key>} keys
 * @param {string | undefined} main
 */
function detailOf(device, keys, main) {
  const kind = device.type_name || title(device.type ?? "");
  if (device.detail) return [kind, device.detail].filter(Boolean).join(" · ");
  const others = sorted(keys).filter((key) => key !== main && !ASIDE.has(key) && keys[key].kind === "number" && device.reported?.[key] != null);
  const readings = others.slice(0, 2).map((key) => words(keys[key], device.reported?.[key]).filter(Boolean).join(" "));
  return [kind, ...readings].filter(Boolean).join(" · ");
}

/** Icons by what a device is called or measures, first hit counts. @type {[RegExp, string][]} */
const ICONS = [
  [/fan|ventilat/, "fan"],
  [/dimm|bulb|light/, "bulb"],
  [/lamp/, "lamp"],
  [/pump|drip|irrigat|wave/, "pump"],
  [/valve/, "valve"],
  [/plug|socket|outlet/, "plug"],
  [/controller|esp|cpu|chip|board/, "chip"],
  [/lock/, "lock"],
  [/window|vent|door|blind|cover/, "window"],
  [/thermo|temperature|heat/, "thermometer"],
  [/humid|hygro|drop|moist|water/, "drop"],
  [/pressure|level|flow/, "gauge"],
  [/motion|presence|pir/, "motion"],
  [/power|energy|meter|compress|zap/, "bolt"],
  [/batter/, "battery"],
  [/relay|switch/, "power"],
];
const DRAWN = new Set(ICONS.map(([, icon]) => icon).concat("chip", "lamp"));

/**
 * @param {Device} device
 * @param {Record<string, Key>} keys
 */
function iconOf(device, keys) {
  if (device.icon && DRAWN.has(device.icon)) return device.icon;
  for (const text of [device.icon, device.type, device.name, sorted(keys).join(" ")]) {
    const hit = ICONS.find(([pattern]) => pattern.test((text ?? "").toLowerCase()));
    if (hit) return hit[1];
  }
  return "chip";
}
