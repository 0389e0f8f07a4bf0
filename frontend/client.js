/**
 * Marshlight's JavaScript client: calls, live collections and data channels over one WebSocket that comes back by
 * itself. No dependency; browsers and Node (give a WebSocket class where there is none).
 *
 *     import { connect } from "./client.js";
 *
 *     const client = connect({ url: "wss://example.org/ws" });
 *     const undo = client.collection("device", { location: 3 }).subscribe((items, state, change) => draw(items, state));
 *     await client.call("device", "update", { id: 17, desired: { on: true } });
 *     client.onStatus((status) => pill.show(status));
 *
 * What it promises: a collection equals the server's objects whenever its state is `live` and the
 * status is not `behind` (then the server itself does not know the newest ones); a call is sent once at most,
 * and when its answer did not come it rejects with the code `disconnected`; after any cut everything that is subscribed
 * continues where it was; objects of somebody who has signed out are not shown any more.
 */

import { RealtimeError } from "./errors.js";
import { Calls } from "./calls.js";
import { Link } from "./link.js";
import { Status } from "./status.js";
import { Channel, Collection } from "./subscription.js";
import { Subscriptions } from "./subscriptions.js";
import { systemClock, systemPage } from "./surroundings.js";
import { decode } from "./wire.js";

export { RealtimeError } from "./errors.js";

/**
 * @typedef {object} Options
 * @property {string} url `ws://` or `wss://`
 * @property {import("./link.js").SocketClass} [WebSocket] default: the global one
 * @property {string} [token] where no cookie says who we are; sent as the first call, never in the address
 * @property {() => string | Promise<string>} [getToken] asked before each connection instead of `token`
 * @property {number} [timeout] milliseconds until a call without answer rejects with `timed_out`; default 15000
 * @property {boolean} [pauseWhileHidden] no tries to reconnect while nobody looks; default true
 * @property {boolean} [autoConnect] default true
 * @property {(error: Error) => void} [onError] what nobody else hears of: frames that make no sense
 * @property {Partial<import("./surroundings.js").Surroundings>} [surroundings] for tests
 *
 * @typedef {{id: number | string, username: string, name?: string, is_staff?: boolean, [more: string]: any}} User
 * @typedef {{user: User | null, time?: string, protocol?: number, limits?: Record<string, number>, [more: string]: any}} Identity
 */

/**
 * @param {Options} options
 * @returns {Client}
 */
export function connect(options) {
  return new Client(options);
}

export class Client {
  /** @param {Options} options use `connect()` */
  constructor(options) {
    const { url, token, getToken = token === undefined ? undefined : () => token, timeout, onError } = options;
    const WebSocket = options.WebSocket ?? /** @type {any} */ (globalThis).WebSocket;
    if (!WebSocket) throw new TypeError("There is no WebSocket here: give a class as the option `WebSocket`.");
    const surroundings = { clock: systemClock, random: Math.random, page: systemPage(), ...options.surroundings };
    this._clock = surroundings.clock;
    this._page = surroundings.page;
    this._getToken = getToken;
    this._onError = onError ?? ((error) => console.error(error));
    /** @type {Identity | null} who the server says we are; null before its first answer */
    this.identity = null;
    /** Counts connections: an answer that belongs to an earlier one must not act on this one. */
    this._life = 0;
    this._known = false;
    this._serverAhead = 0;
    this._link = new Link(url, WebSocket, surroundings, {
      opened: () => void this._introduce(),
      received: (text) => this._receive(text),
      lost: (wasOpen) => this._lost(wasOpen),
      changed: () => this._review(),
    }, options);
    this._calls = new Calls(this._clock, (text) => this._link.send(text), timeout);
    this._subscriptions = new Subscriptions(surroundings, this._calls, () => this._review());
    this._status = new Status(this._clock);
    /** @type {() => void} */
    this._unwatch = () => {};
    if (options.autoConnect !== false) this.connect();
  }

  /** Begins (again, after `close()` or a refusal). */
  connect() {
    this._unwatch();
    this._unwatch = this._page.watch((event) => this._tellVisibility(event));
    this._link.open();
  }

  /** Ends for good: waiting calls reject with `closed`, collections stay as they are and say `stale`. */
  close() {
    this._unwatch();
    this._link.close();
  }

  /** Try now instead of at `status.nextTry`; nothing when connected. */
  retryNow() {
    this._link.retryNow();
  }

  /**
   * @param {string} route
   * @param {string} verb
   * @param {Record<string, unknown>} [args]
   * @returns {Promise<any>} the reply's data
   * @throws {RealtimeError} the server's refusal, or `disconnected` (it is unknown whether the call was obeyed; it is
   *   never sent again by itself), `timed_out`, `signed_out`, `closed`
   */
  async call(route, verb, args = {}) {
    return (await this.request(route, verb, args)).data;
  }

  /**
   * Like `call`, with the whole reply (`context` holds the page of a paginated list).
   * @param {string} route
   * @param {string} verb
   * @param {Record<string, unknown>} [args]
   * @returns {Promise<import("./wire.js").Reply>}
   */
  request(route, verb, args = {}) {
    const refusal = this._status.refusal(this._link);
    if (refusal) return Promise.reject(refusal);
    return this._calls.make(route, verb, args, { hold: !this._known });
  }

  /**
   * The live objects of a route under a filter. The same route and arguments are one collection, subscribed while it has
   * listeners.
   * @param {string} route
   * @param {Record<string, unknown>} [args] filters, as the route allows them
   * @returns {Collection}
   */
  collection(route, args = {}) {
    return this._subscriptions.get(Collection, route, args);
  }

  /**
   * Messages of a route that are not objects (`publish_data`).
   * @param {string} route
   * @param {Record<string, unknown>} [args]
   * @returns {Channel}
   */
  channel(route, args = {}) {
    return this._subscriptions.get(Channel, route, args);
  }

  /** @returns {import("./status.js").Report} */
  get status() {
    return this._status.report;
  }

  /**
   * @param {(status: import("./status.js").Report) => void} listener called at once, then whenever it differs
   * @returns {() => void} the undo
   */
  onStatus(listener) {
    return this._status.listen(listener);
  }

  /** @returns {number} the server's time now, as well as we know it, in milliseconds */
  now() {
    return this._clock.now() + this._serverAhead;
  }

  /** First who we are, then everything that is subscribed: one call however many there are. */
  async _introduce() {
    const life = ++this._life;
    try {
      if (this._getToken) {
        const token = await this._getToken();
        if (life !== this._life) return;
        await this._calls.make("session", "login", { token }, {});
      }
      const asked = this._clock.now();
      const { data } = await this._calls.make("session", "whoami", {}, {});
      if (life !== this._life) return;
      this._identified(data, asked);
    } catch (error) {
      if (life === this._life) this._unidentified(/** @type {RealtimeError} */ (error));
    }
  }

  /**
   * @param {Identity} identity
   * @param {number} asked
   */
  _identified(identity, asked) {
    const now = this._clock.now();
    const before = this.identity;
    this.identity = identity;
    if (identity?.user) this._link.identified();
    const time = Date.parse(identity?.time ?? "");
    // The answer is half a round trip old when it is here.
    if (!Number.isNaN(time)) this._serverAhead = time + (now - asked) / 2 - now;
    if (before && (before.user?.id ?? null) !== (identity?.user?.id ?? null)) this._subscriptions.forgetAll();
    this._known = true;
    this._status.roundTrip(now - asked);
    this._calls.release();
    this._subscriptions.resume();
    if (!this._page.visible()) this._tellVisibility("hidden");
    this._review();
  }

  /** @param {RealtimeError} error */
  _unidentified(error) {
    if (error instanceof RealtimeError && !error.temporary) this._link.identityRefused();
    else this._link.distrust();
  }

  /** @param {unknown} text */
  _receive(text) {
    let frame;
    try {
      frame = decode(text);
    } catch (error) {
      this._onError(/** @type {Error} */ (error));
      this._link.distrust();
      return;
    }
    switch (frame.type) {
      case "reply":
        if (!this._subscriptions.receive(frame)) this._calls.receive(frame);
        break;
      case "heartbeat":
        this._heartbeat(frame);
        break;
      case "health":
        this._healthy(frame);
        break;
      case "change":
      case "data":
      case "resync":
        this._subscriptions.deliver(frame);
        break;
    }
  }

  /** @param {import("./wire.js").Heartbeat} heartbeat */
  _heartbeat({ position }) {
    if (position) this._subscriptions.advance(position);
    // The server's heartbeats and its echo look alike. Right after one of its own the next frame of that kind is the echo.
    if (this._status.echo()) {
      this._review();
    } else if (this._page.visible() && this._known) {
      this._status.asked();
      this._link.beat();
    }
  }

  /** @param {import("./wire.js").Health} health */
  _healthy(health) {
    const before = this._status.report.health;
    this._status.heard(health);
    // What was refused meanwhile need not wait for the end of a pause that grew with the outage.
    if ((before?.behind && !health.behind) || (before?.saving === false && health.saving)) this._subscriptions.hurry();
    this._review();
  }

  /** @param {boolean} wasOpen */
  _lost(wasOpen) {
    this._life += 1;
    this._known = false;
    const { phase } = this._link;
    const code = phase === "ended" ? "closed" : phase === "signed_out" ? "signed_out" : "disconnected";
    if (wasOpen || phase !== "waiting") this._status.notAsked();
    this._calls.rejectAll(new RealtimeError(code, "The connection was lost before the answer came."));
    this._subscriptions.cut();
    this._status.heard(null);
    // Whoever sits before the page now is not known to be who was.
    if (phase === "signed_out") this._subscriptions.forgetAll();
  }

  /** @param {import("./surroundings.js").PageEvent} event */
  _tellVisibility(event) {
    if (event === "online" || !this._known) return;
    // An older server does not know the verb; it then sends heartbeats as to a page that is looked at.
    this._calls.make("session", "visible", { visible: event === "visible" }, {}).catch(() => {});
  }

  _review() {
    this._status.review(this._link, this._known, this._subscriptions.settled);
  }
}
