/**
 * What can go wrong, for callers and for the connection.
 *
 * Every rejected call is a `RealtimeError`: `code` is one of the codes of `docs/wire.md` or one of the client's own
 * (`disconnected`, `timed_out`, `signed_out`, `closed`, `bad_frame`); `temporary` says that the same call may work later.
 */

/** Reply codes that may work later without anybody changing anything. */
const TEMPORARY = new Set(["too_fast", "timed_out", "unavailable", "internal", "disconnected"]);

export class RealtimeError extends Error {
  /**
   * @param {string} code
   * @param {string} [message]
   * @param {{data?: unknown, temporary?: boolean}} [more] `data`: `{field: [messages]}` of a validation error
   */
  constructor(code, message, more = {}) {
    super(message || code);
    this.name = "RealtimeError";
    this.code = code;
    this.temporary = more.temporary ?? TEMPORARY.has(code);
    this.data = more.data;
  }
}

/**
 * Close codes after which coming back is pointless. 4009 would only be refused again while the other connections of
 * this person stand; 4003 says that this origin or person may not be here at all.
 */
export const FINAL_CLOSE_CODES = Object.freeze({
  4003: "not_allowed",
  4009: "too_many",
});

/** The identity is missing or has ended: tried once more with a fresh cookie or token, then signed out. */
export const IDENTITY_CLOSE_CODE = 4001;
