/**
 * What somebody on this page follows: a live collection or a data channel. Each stands once per client, however many
 * listeners it has, and knows what to say to subscribe (again).
 */

import { refusal } from "./calls.js";
import { Store } from "./store.js";

/**
 * loading: nothing known yet · live: equals the server · catching_up: connected, being brought up to date ·
 * stale: not connected, contents as they were · failed: the server refused, see `error`
 * @typedef {"loading" | "live" | "catching_up" | "stale" | "failed"} State
 *
 * @typedef {import("./wire.js").Item} Item
 * @typedef {import("./wire.js").Reply} Reply
 * @typedef {import("./wire.js").Change} Change
 * @typedef {import("./store.js").Applied} Applied
 * @typedef {import("./errors.js").RealtimeError} RealtimeError
 * @typedef {{request: (subscription: Subscription) => void, leave: (subscription: Subscription) => void}} Owner
 */

/** @abstract */
export class Subscription {
  /**
   * @param {Owner} owner
   * @param {string} local this client's name for it on the wire
   * @param {string} route
   * @param {Record<string, unknown>} args
   */
  constructor(owner, local, route, args) {
    this._owner = owner;
    this.local = local;
    this.route = route;
    this.args = args;
    /** @type {State} */
    this.state = "loading";
    /** @type {RealtimeError | null} */
    this.error = null;
    /** @type {string[]} the server's names of what it follows */
    this.channels = [];
    /** @type {string | null} name of the subscribe call whose replies count */
    this.call = null;
    /** Counts replies: a long snapshot that is still coming is not a lost one. */
    this.replies = 0;
    /** @type {Set<Function>} */
    this._listeners = new Set();
  }

  /** @returns {Record<string, unknown>} this subscription's entry in a subscribe call */
  entry() {
    return { ...this.args, route: this.route, channel: this.local };
  }

  /** The subscribe call was sent under this name. @param {string} call */
  sent(call) {
    this.call = call;
    if (this.state !== "loading") this._become("catching_up");
  }

  /** The connection is gone. */
  cut() {
    this.call = null;
    // On the next connection a channel's frames are ours only after our reply: before it they would move our position
    // past what we missed.
    this.channels = [];
    if (this.state !== "loading" && this.state !== "failed") this._become("stale");
  }

  /**
   * @param {Reply} reply
   * @returns {RealtimeError | null} the refusal, if it is one
   */
  receive(reply) {
    this.replies += 1;
    if (reply.state !== "success") {
      return this.refuse(refusal(reply));
    }
    this.channels = reply.channelData?.remote_channels ?? this.channels;
    this.error = null;
    this._accept(reply);
    return null;
  }

  /** @param {RealtimeError} error */
  refuse(error) {
    this.call = null;
    this.error = error;
    if (error.temporary) {
      if (this.state === "live") this._become("catching_up");
      return error;
    }
    this.channels = [];
    this.state = "failed";
    this._empty();
    return error;
  }

  /** Another person now: nothing of what was shown may stay. */
  forget() {
    this.call = null;
    this.channels = [];
    this.error = null;
    this.state = "loading";
    this._empty();
  }

  /** The server cannot continue: take a new snapshot. */
  resync() {
    this._owner.request(this);
  }

  /**
   * What the server knows to have been told so far, by channel.
   * @param {import("./wire.js").Positions} positions
   */
  advance(positions) {
    void positions;
  }

  /** @param {Reply} reply */
  _accept(reply) {
    void reply;
    this._become("live");
  }

  /** Nothing that was known may be shown any more. */
  _empty() {
    this._tell(null);
  }

  /** @param {State} state */
  _become(state) {
    if (this.state === state) return;
    this.state = state;
    this._tell(null);
  }

  /** @param {unknown} news */
  _tell(news) {
    for (const listener of [...this._listeners]) if (this._listeners.has(listener)) this._call(listener, news);
  }

  /**
   * @param {Function} listener
   * @param {unknown} news
   */
  _call(listener, news) {
    void listener;
    void news;
  }

  /**
   * @param {Function} listener
   * @returns {() => void} the undo
   */
  _listen(listener) {
    // Its own function, so that the same listener may be given twice and each undo ends one of them.
    const own = (/** @type {unknown[]} */ ...args) => listener(...args);
    this._listeners.add(own);
    if (this._listeners.size === 1) this._owner.request(this);
    this._call(own, null);
    return () => {
      if (this._listeners.delete(own) && this._listeners.size === 0) this._owner.leave(this);
    };
  }
}

export class Collection extends Subscription {
  /**
   * @param {Owner} owner
   * @param {string} local
   * @param {string} route
   * @param {Record<string, unknown>} args
   */
  constructor(owner, local, route, args) {
    super(owner, local, route, args);
    this._store = new Store();
  }

  /** @returns {Map<Item["id"], Item>} */
  get items() {
    return this._store.items;
  }

  /** @param {Item["id"]} id */
  get(id) {
    return this._store.items.get(id);
  }

  /**
   * Called at once with what is known, then on every change of the objects or of the state.
   * @param {(items: Map<Item["id"], Item>, state: State, change: Applied | null) => void} listener `change` is null when
   *   only the state differs
   * @returns {() => void} the undo
   */
  subscribe(listener) {
    return this._listen(listener);
  }

  entry() {
    const since = this._store.since;
    return { ...super.entry(), _snapshot: true, ...(since && { _since: since }) };
  }

  /** @param {string} call */
  sent(call) {
    this._store.abandon();
    super.sent(call);
  }

  resync() {
    this._store.forgetPosition();
    super.resync();
  }

  /** @param {Change} change */
  change(change) {
    const applied = this._store.apply(change);
    if (applied) this._tell(applied);
  }

  /**
   * A snapshot may come without a position (the server does not know one for sure yet): then a heartbeat brings it.
   * @param {import("./wire.js").Positions} positions
   */
  advance(positions) {
    // Between asking and the answer, positions still belong to the subscription that is being replaced.
    if (this.state !== "live" && !this._store.gathering) return;
    const ours = Object.entries(positions).filter(([channel]) => this.channels.includes(channel));
    this._store.advance(Object.fromEntries(ours));
  }

  /** @param {Reply} reply */
  _accept(reply) {
    if (reply.recovered && this._store.known) {
      this._store.continue(this.channels);
      this._become("live");
      return;
    }
    const objects = Array.isArray(reply.data) ? reply.data : [];
    const applied = this._store.take(objects, { positions: reply.position, first: (reply.part ?? 1) <= 1, more: reply.more });
    if (!applied) return;
    this.state = "live";
    this._tell(applied);
  }

  _empty() {
    this._tell(this._store.empty());
  }

  /**
   * @param {Function} listener
   * @param {unknown} news
   */
  _call(listener, news) {
    listener(this.items, this.state, news);
  }
}

export class Channel extends Subscription {
  /**
   * @param {Owner} owner
   * @param {string} local
   * @param {string} route
   * @param {Record<string, unknown>} args
   */
  constructor(owner, local, route, args) {
    super(owner, local, route, args);
    /** @type {import("./wire.js").Positions} */
    this._positions = {};
  }

  entry() {
    return { ...super.entry(), ...(Object.keys(this._positions).length > 0 && { _since: this._positions }) };
  }

  resync() {
    this._positions = {};
    super.resync();
  }

  /**
   * @param {(data: any, channel: string) => void} listener called for every message from now on
   * @returns {() => void} the undo
   */
  subscribe(listener) {
    return this._listen(listener);
  }

  /** @param {import("./wire.js").DataMessage} message */
  message(message) {
    const { offset } = message;
    // All data channels are one stream, so whoever was told this message has been told all before it.
    if (offset !== null) for (const [channel, [epoch]] of Object.entries(this._positions)) this._positions[channel] = [epoch, offset];
    this._tell(message);
  }

  /** @param {import("./wire.js").Positions} positions */
  advance(positions) {
    if (this.state !== "live") return;
    for (const channel of this.channels) if (positions[channel]) this._positions[channel] = positions[channel];
  }

  /** @param {Reply} reply */
  _accept(reply) {
    // Otherwise what was missed follows, and moves the position on.
    if (!reply.recovered) this._positions = { ...reply.position };
    super._accept(reply);
  }

  _empty() {
    this._positions = {};
    super._empty();
  }

  /**
   * @param {Function} listener
   * @param {unknown} news
   */
  _call(listener, news) {
    const message = /** @type {import("./wire.js").DataMessage | null} */ (news);
    if (message) listener(message.data, message.channel);
  }
}
