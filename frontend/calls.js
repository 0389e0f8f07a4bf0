/**
 * Calls that wait for their answer, each with a limit.
 */

import { RealtimeError } from "./errors.js";
import { encodeCall } from "./wire.js";

/** Longer than the server's own limit of 10 s for a verb, so that its answer, even a late one, is heard. */
export const CALL_TIMEOUT = 15_000;

/**
 * @typedef {import("./wire.js").Reply} Reply
 * @typedef {{resolve: (reply: Reply) => void, reject: (error: Error) => void, timer: unknown, text: string, held: boolean}} Waiting
 */

export class Calls {
  /**
   * @param {import("./surroundings.js").Clock} clock
   * @param {(text: string) => void} send
   * @param {number} [timeout]
   */
  constructor(clock, send, timeout = CALL_TIMEOUT) {
    this._clock = clock;
    this._send = send;
    this._timeout = timeout;
    this._count = 0;
    /** @type {Map<string, Waiting>} */
    this._waiting = new Map();
  }

  /** @returns {string} a name no other call of this client has */
  name() {
    this._count += 1;
    return `c${this._count}`;
  }

  /**
   * @param {string} route
   * @param {string} verb
   * @param {Record<string, unknown>} args
   * @param {{hold?: boolean}} options hold: not sent before `release()`
   * @returns {Promise<Reply>}
   */
  make(route, verb, args, { hold = false }) {
    const name = this.name();
    return new Promise((resolve, reject) => {
      const text = encodeCall(verb, route, args, name);
      const timer = this._clock.setTimeout(() => {
        this._waiting.delete(name);
        reject(new RealtimeError("timed_out", "The server did not answer in time."));
      }, this._timeout);
      this._waiting.set(name, { resolve, reject, timer, text, held: hold });
      if (!hold) this._send(text);
    });
  }

  /**
   * For calls whose answers somebody else waits for.
   * @param {string} text
   */
  send(text) {
    this._send(text);
  }

  /** Sends what was held, in the order it was asked. */
  release() {
    for (const call of this._waiting.values()) {
      if (!call.held) continue;
      call.held = false;
      this._send(call.text);
    }
  }

  /** @param {Reply} reply one whose call timed out is nobody's */
  receive(reply) {
    const call = reply.name === null ? undefined : this._waiting.get(reply.name);
    if (!call) return;
    this._waiting.delete(/** @type {string} */ (reply.name));
    this._clock.clearTimeout(call.timer);
    if (reply.state === "success") call.resolve(reply);
    else call.reject(refusal(reply));
  }

  /** @param {RealtimeError} error */
  rejectAll(error) {
    const calls = [...this._waiting.values()];
    this._waiting.clear();
    for (const call of calls) {
      this._clock.clearTimeout(call.timer);
      call.reject(error);
    }
  }
}

/**
 * @param {Reply} reply
 * @returns {RealtimeError}
 */
export function refusal(reply) {
  const code = reply.error?.code ?? (reply.state === "login_required" ? "login_required" : "internal");
  return new RealtimeError(code, reply.error?.message, { data: reply.data, temporary: reply.error?.temporary });
}
