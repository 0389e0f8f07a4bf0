/**
 * How the connection stands, in the words of the pill.
 */

import { RealtimeError } from "./errors.js";

/**
 * connecting: for the first time · live: what is shown is the truth · catching_up: connected (or asking a silent server
 * again), not yet up to date · behind: connected, but the server says that what is shown may be old, see `health` · offline: no connection; `nextTry` says when the next try is due, null while it runs ·
 * signed_out: who we are is not accepted any more · closed: refused for good, see `code`, or closed by us
 * @typedef {"connecting" | "live" | "catching_up" | "behind" | "offline" | "signed_out" | "closed"} Name
 *
 * @typedef {import("./wire.js").Health} Health
 *
 * @typedef {object} Report
 * @property {Name} name
 * @property {number | null} nextTry local clock, milliseconds
 * @property {number | null} valuesFrom local clock: when the server was last heard
 * @property {number | null} roundTrip milliseconds
 * @property {number | null} code close code, where one ended it
 * @property {Health | null} health what the server of this connection says is broken; null as long as it says nothing
 */

export class Status {
  /** @param {import("./surroundings.js").Clock} clock */
  constructor(clock) {
    this._clock = clock;
    /** @type {Report} */
    this.report = { name: "connecting", nextTry: null, valuesFrom: null, roundTrip: null, code: null, health: null };
    /** @type {number | null} */
    this._roundTrip = null;
    /** @type {number | null} when our own heartbeat went out */
    this._askedAt = null;
    this._everKnown = false;
    /** @type {Health | null} */
    this._health = null;
    /** @type {Set<(report: Report) => void>} */
    this._listeners = new Set();
  }

  /**
   * @param {(report: Report) => void} listener
   * @returns {() => void}
   */
  listen(listener) {
    const own = (/** @type {Report} */ report) => listener(report);
    this._listeners.add(own);
    own(this.report);
    return () => void this._listeners.delete(own);
  }

  /**
   * @param {import("./link.js").Link} link
   * @param {boolean} known
   * @param {boolean} settled
   */
  review(link, known, settled) {
    this._everKnown ||= known;
    const name = this._name(link, known, settled);
    const report = {
      name,
      nextTry: name === "offline" ? link.nextTry : null,
      valuesFrom: link.lastHeard,
      roundTrip: name === "live" ? this._roundTrip : null,
      code: link.code,
      health: this._health,
    };
    const before = this.report;
    this.report = report;
    const differs = /** @type {const} */ (["name", "nextTry", "roundTrip", "code", "health"]).some((key) => before[key] !== report[key]);
    if (differs) for (const listener of [...this._listeners]) listener(report);
  }

  /**
   * @param {import("./link.js").Link} link
   * @returns {RealtimeError | null} why a call cannot even be tried
   */
  refusal({ phase }) {
    if (phase === "signed_out") return new RealtimeError("signed_out", "You are signed out.");
    if (phase === "ended") return new RealtimeError("closed", "The connection is closed.");
    if (phase === "waiting") return new RealtimeError("disconnected", "There is no connection now.");
    return null;
  }

  /** Our heartbeat went out. */
  asked() {
    this._askedAt = this._clock.now();
  }

  notAsked() {
    this._askedAt = null;
  }

  /** @returns {boolean} whether the heartbeat that came was awaited */
  echo() {
    if (this._askedAt === null) return false;
    this.roundTrip(this._clock.now() - this._askedAt);
    this._askedAt = null;
    return true;
  }

  /**
   * @param {Health | null} health null: nobody says anything, as on a new connection
   */
  heard(health) {
    const isWell = health === null || (!health.behind && health.saving && health.complete && !health.parts?.length);
    this._health = isWell ? null : health;
  }

  /** @param {number} milliseconds */
  roundTrip(milliseconds) {
    this._roundTrip = Math.max(0, Math.round(milliseconds));
  }

  /**
   * @param {import("./link.js").Link} link
   * @param {boolean} known
   * @param {boolean} settled
   * @returns {Name}
   */
  _name({ phase, missedHeartbeats }, known, settled) {
    if (phase === "signed_out") return "signed_out";
    if (phase === "ended") return "closed";
    if (phase === "open" && known) {
      if (!settled) return "catching_up";
      return this._health?.behind ? "behind" : "live";
    }
    if (missedHeartbeats) return "catching_up";
    if (phase === "open") return this._everKnown ? "catching_up" : "connecting";
    return this._everKnown || phase === "waiting" ? "offline" : "connecting";
  }
}
