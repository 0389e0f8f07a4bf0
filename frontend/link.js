/**
 * One socket after the other: opening, noticing that it is dead, coming back. Knows nothing of calls or subscriptions.
 *
 * A link ends up in one of: `opening` a socket, `open`, `waiting` for the next try, `signed_out` (the identity was
 * refused twice), `ended` (refused for good, or closed by us).
 */

import { Backoff } from "./backoff.js";
import { FINAL_CLOSE_CODES, IDENTITY_CLOSE_CODE } from "./errors.js";
import { encodeBeat } from "./wire.js";

/** The server's heartbeat on a page somebody looks at, and on one nobody does. */
export const HEARTBEAT = 5_000;
export const HIDDEN_HEARTBEAT = 25_000;
/** Heartbeats that may be missing; the half beyond covers the network's and the timers' own lateness. */
const MISSED = 2.2;
/** A network that swallows packets lets a handshake hang for minutes. */
const HANDSHAKE = 10_000;
/** A connection shorter than this was no success: a server that lets in and throws out must not be hammered. */
const SETTLED = 5_000;
/** On waking, an answer to our own heartbeat is due much sooner than the server's next one. */
const PROBE = 4_000;

/**
 * @typedef {"opening" | "open" | "waiting" | "signed_out" | "ended"} Phase
 *
 * @typedef {object} SocketLike the part of the browser's WebSocket that is used
 * @property {(text: string) => void} send
 * @property {(code?: number, reason?: string) => void} close
 * @property {((event: any) => void) | null} onopen
 * @property {((event: any) => void) | null} onmessage
 * @property {((event: any) => void) | null} onclose
 * @property {((event: any) => void) | null} onerror
 *
 * @typedef {new (url: string) => SocketLike} SocketClass
 *
 * @typedef {object} Owner
 * @property {() => void} opened
 * @property {(text: unknown) => void} received
 * @property {(wasOpen: boolean) => void} lost the socket is gone; `phase` already says what comes next
 * @property {() => void} changed `phase` or `nextTry` differ
 */

export class Link {
  /**
   * @param {string} url
   * @param {SocketClass} WebSocket
   * @param {import("./surroundings.js").Surroundings} surroundings
   * @param {Owner} owner
   * @param {{pauseWhileHidden?: boolean}} [options]
   */
  constructor(url, WebSocket, { clock, random, page }, owner, { pauseWhileHidden = true } = {}) {
    this._url = url;
    this._WebSocket = WebSocket;
    this._clock = clock;
    this._page = page;
    this._owner = owner;
    this._pauseWhileHidden = pauseWhileHidden;
    this._backoff = new Backoff(random);
    /** @type {Phase} */
    this.phase = "ended";
    /** @type {number | null} when the next try is due; null while trying or while nobody looks */
    this.nextTry = null;
    /** @type {number | null} close code that ended the link */
    this.code = null;
    /** Whether the last socket died in silence, and the try under way is the answer to that. */
    this.missedHeartbeats = false;
    /** @type {number | null} when the server was last heard */
    this.lastHeard = null;
    /** @type {SocketLike | null} */
    this._socket = null;
    /** @type {unknown} */
    this._timer = null;
    /** @type {unknown} */
    this._watchdog = null;
    this._watchdogDue = 0;
    this._silenceAllowed = HANDSHAKE;
    this._openedAt = 0;
    this._identityTried = false;
    /** @type {(() => void) | null} */
    this._unwatch = null;
  }

  open() {
    this._unwatch ??= this._page.watch((event) => this._noticed(event));
    if (this.phase === "opening" || this.phase === "open") return;
    this._identityTried = false;
    this._try();
  }

  /** For good; `open()` begins anew. */
  close() {
    this._unwatch?.();
    this._unwatch = null;
    this._socket?.close(1000);
    this._drop("ended", null);
  }

  /** @param {string} text */
  send(text) {
    this._socket?.send(text);
  }

  /** Asks the server to answer at once (its echo is a heartbeat). */
  beat() {
    this.send(encodeBeat());
  }

  /** The server accepted who we are: a later 4001 deserves a try of its own. */
  identified() {
    this._identityTried = false;
  }

  /** The server told us, in words instead of a close code, that it does not accept who we are. */
  identityRefused() {
    this._socket?.close(1000);
    this._closed(IDENTITY_CLOSE_CODE);
  }

  /** What came cannot be understood: nothing after it can be trusted. */
  distrust() {
    this._socket?.close(1002);
    this._retry();
  }

  /** Now instead of at `nextTry`. */
  retryNow() {
    if (this.phase === "waiting" || this.phase === "signed_out") this._try();
  }

  _try() {
    this._cancelTimer();
    this.nextTry = null;
    this.phase = "opening";
    this._owner.changed();
    if (this.phase !== "opening") return;
    let socket;
    try {
      socket = new this._WebSocket(this._url);
    } catch {
      // A browser throws for an address its policy forbids; to the reader of the pill it is a failed try like others.
      this._retry();
      return;
    }
    this._socket = socket;
    socket.onopen = () => {
      this.phase = "open";
      this._openedAt = this._clock.now();
      this._heard();
      this._owner.changed();
      this._owner.opened();
    };
    socket.onmessage = (event) => {
      this._heard();
      this._owner.received(event.data);
    };
    socket.onerror = () => {};
    socket.onclose = (event) => this._closed(event.code);
    this._silenceAllowed = HANDSHAKE;
    this._watch(HANDSHAKE);
  }

  /** @param {number} code */
  _closed(code) {
    if (code in FINAL_CLOSE_CODES) {
      this._drop("ended", code);
    } else if (code === IDENTITY_CLOSE_CODE && this._identityTried) {
      this._drop("signed_out", code);
    } else if (code === IDENTITY_CLOSE_CODE) {
      // A new password gives the browser that set it a new cookie: worth one try before showing the sign-in page.
      this._identityTried = true;
      this._drop("waiting", code);
      this._wait(0);
    } else {
      this._retry();
    }
  }

  _retry() {
    this.missedHeartbeats = false;
    if (this.phase === "open" && this._clock.now() - this._openedAt >= SETTLED) this._backoff.reset();
    this._drop("waiting", null);
    this._wait(this._backoff.next());
  }

  /** @param {number} delay */
  _wait(delay) {
    if (this.phase !== "waiting") return;
    this._cancelTimer();
    this.nextTry = this._clock.now() + delay;
    this._timer = this._clock.setTimeout(() => {
      this._timer = null;
      if (this._pauseWhileHidden && !this._page.visible()) {
        this.nextTry = null;
        this._owner.changed();
      } else {
        this._try();
      }
    }, delay);
    this._owner.changed();
  }

  /**
   * @param {Phase} phase
   * @param {number | null} code
   */
  _drop(phase, code) {
    const wasOpen = this.phase === "open";
    const socket = this._socket;
    this._socket = null;
    if (socket) {
      // A dead peer answers no close either, so its close event may be minutes away: nobody waits for it.
      socket.onopen = socket.onmessage = socket.onclose = null;
      // ws (Node) throws an unhandled error event when it is closed while connecting and nobody listens.
      socket.onerror = () => {};
      try {
        socket.close();
      } catch {
        // Closing what never opened is an error in some WebSocket classes.
      }
    }
    this._cancelTimer();
    this._clock.clearTimeout(this._watchdog);
    this._watchdog = null;
    this.nextTry = null;
    this.code = code;
    this.phase = phase;
    this._owner.lost(wasOpen);
    this._owner.changed();
  }

  _heard() {
    this.lastHeard = this._clock.now();
    this.missedHeartbeats = false;
    this._silenceAllowed = this._usualSilence();
    if (this._watchdog === null || this._watchdogDue > this.lastHeard + this._silenceAllowed) this._watch(this._silenceAllowed);
  }

  _usualSilence() {
    return (this._page.visible() ? HEARTBEAT : HIDDEN_HEARTBEAT) * MISSED;
  }

  /**
   * The timer is not wound up again for every frame: when it fires it looks how much silence there really was.
   * @param {number} delay
   */
  _watch(delay) {
    this._clock.clearTimeout(this._watchdog);
    this._watchdogDue = this._clock.now() + delay;
    this._watchdog = this._clock.setTimeout(() => {
      this._watchdog = null;
      const since = this.phase === "open" ? this.lastHeard ?? 0 : 0;
      const left = since + this._silenceAllowed - this._clock.now();
      if (left > 0) this._watch(left);
      else this._silent();
    }, delay);
  }

  _silent() {
    if (this.phase === "open") {
      this.missedHeartbeats = true;
      this._drop("waiting", null);
      this._try();
    } else {
      this._retry();
    }
  }

  /** @param {import("./surroundings.js").PageEvent} event */
  _noticed(event) {
    if (event === "hidden") {
      this._silenceAllowed = this._usualSilence();
    } else if (this.phase === "waiting" || this.phase === "signed_out") {
      // Somebody may have signed in again in another tab.
      if (this.phase === "signed_out") this._identityTried = true;
      this._try();
    } else if (this.phase === "open") {
      // After sleep the socket may be dead and its timers late: ask, and do not wait long for the answer.
      this.beat();
      this._silenceAllowed = this._clock.now() - (this.lastHeard ?? 0) + PROBE;
      this._watch(PROBE);
    }
  }

  _cancelTimer() {
    this._clock.clearTimeout(this._timer);
    this._timer = null;
  }
}
