/**
 * Everything this client follows: asks for it in as few calls as possible, asks again after a cut, and hands each frame
 * to those it concerns.
 */

import { Backoff } from "./backoff.js";
import { RealtimeError } from "./errors.js";
import { Channel, Collection } from "./subscription.js";
import { MAX_CALL_BYTES, encodeCall } from "./wire.js";

/** Some room for the call around the list. */
const LIST_BYTES = MAX_CALL_BYTES / 4;
/** The server's limit for a verb is 10 s, then come the parts; without any of them the answer is lost. */
const ANSWER_TIMEOUT = 20_000;
/** After a refusal that is temporary. */
const REFUSED_DELAYS = { first: 1_000, longest: 15_000 };
/** When the server says that it is well again; spread, as all its clients hear it at once. */
const WELL_DELAY = 1_000;

/** @typedef {import("./subscription.js").Subscription} Subscription */

export class Subscriptions {
  /**
   * @param {import("./surroundings.js").Surroundings} surroundings
   * @param {import("./calls.js").Calls} calls
   * @param {() => void} changed `settled` may differ
   */
  constructor({ clock, random }, calls, changed) {
    this._clock = clock;
    this._random = random;
    this._calls = calls;
    this._changed = changed;
    this._backoff = new Backoff(random, REFUSED_DELAYS);
    this._connected = false;
    this._settledOnce = false;
    this._count = 0;
    /** @type {Map<string, Subscription>} those with listeners, by kind, route and arguments */
    this._byKey = new Map();
    /** @type {Map<string, Subscription>} the same by local name */
    this._followed = new Map();
    /** @type {Set<Subscription>} to be asked for in this turn's call */
    this._wanted = new Set();
    this._scheduled = false;
    /** @type {Set<Subscription>} refused for now, to be asked for again */
    this._refused = new Set();
    /** @type {Set<unknown>} timers of this connection */
    this._timers = new Set();
  }

  /**
   * Whether all that is followed is up to date. What is opened later on a settled connection shows by itself that it is
   * loading: the rest of the screen is no less true for it.
   */
  get settled() {
    for (const { state } of this._followed.values()) {
      if (state === "catching_up" || state === "stale" || (state === "loading" && !this._settledOnce)) return false;
    }
    this._settledOnce = this._connected;
    return true;
  }

  /**
   * @template {Subscription} T
   * @param {new (owner: any, local: string, route: string, args: Record<string, unknown>) => T} Kind
   * @param {string} route
   * @param {Record<string, unknown>} args
   * @returns {T}
   */
  get(Kind, route, args) {
    const key = `${Kind.name} ${route} ${canonical(args)}`;
    const owner = {
      request: (/** @type {Subscription} */ subscription) => this._follow(key, subscription),
      leave: (/** @type {Subscription} */ subscription) => this._leave(key, subscription),
    };
    return /** @type {T} */ (this._byKey.get(key) ?? new Kind(owner, this._name(), route, args));
  }

  /** Connected and known: ask for everything. */
  resume() {
    this._connected = true;
    this._settledOnce = false;
    for (const subscription of this._followed.values()) this._wanted.add(subscription);
    this._ask();
  }

  cut() {
    this._connected = false;
    this._wanted.clear();
    this._refused.clear();
    for (const timer of this._timers) this._clock.clearTimeout(timer);
    this._timers.clear();
    for (const subscription of [...this._followed.values()]) subscription.cut();
  }

  /** Another person: nothing of what was shown may stay. */
  forgetAll() {
    for (const subscription of [...this._followed.values()]) subscription.forget();
  }

  /**
   * @param {import("./wire.js").Reply} reply
   * @returns {boolean} whether it was the answer to a subscribe
   */
  receive(reply) {
    const asked = [...this._followed.values()].filter((one) => one.call !== null && one.call === reply.name);
    const local = reply.channelData?.local_channel;
    // A list the server cannot read at all gets one refusal that names none of its entries.
    const concerned = local === undefined ? asked : asked.filter((one) => one.local === local);
    for (const subscription of concerned) {
      const error = subscription.receive(reply);
      if (error?.temporary) this._later(subscription);
      else if (!error && subscription.state === "live") this._backoff.reset();
    }
    if (concerned.length > 0) this._changed();
    // An answer to a subscribe that was since repeated or left concerns nobody, but is no answer to a call either.
    return concerned.length > 0 || (reply.verb === "subscribe" && local !== undefined);
  }

  /** @param {import("./wire.js").Change | import("./wire.js").DataMessage | import("./wire.js").Resync} frame */
  deliver(frame) {
    for (const subscription of [...this._followed.values()]) {
      if (!subscription.channels.includes(frame.channel)) continue;
      if (frame.type === "resync") subscription.resync();
      else if (frame.type === "change" && subscription instanceof Collection) subscription.change(frame);
      else if (frame.type === "data" && subscription instanceof Channel) subscription.message(frame);
    }
  }

  /** What refused us is over: ask now instead of at the end of the pause. */
  hurry() {
    this._backoff.reset();
    if (this._refused.size === 0) return;
    this._after(this._random() * WELL_DELAY, () => {
      for (const subscription of [...this._refused]) this._again(subscription);
    });
  }

  /** @param {import("./wire.js").Positions} positions */
  advance(positions) {
    for (const subscription of this._followed.values()) subscription.advance(positions);
  }

  /**
   * @param {string} key
   * @param {Subscription} subscription
   */
  _follow(key, subscription) {
    this._byKey.set(key, subscription);
    this._followed.set(subscription.local, subscription);
    if (this._connected) this._askSoon(subscription);
  }

  /** @param {Subscription} subscription */
  _askSoon(subscription) {
    this._wanted.add(subscription);
    if (this._scheduled) return;
    this._scheduled = true;
    // Everything a page subscribes while it is being built is one call.
    queueMicrotask(() => {
      this._scheduled = false;
      if (this._connected) this._ask();
    });
  }

  /**
   * @param {string} key
   * @param {Subscription} subscription
   */
  _leave(key, subscription) {
    this._followed.delete(subscription.local);
    this._byKey.delete(key);
    if (this._connected && !this._wanted.delete(subscription)) {
      const { route, local } = subscription;
      this._calls.make(route, "unsubscribe", { channel: local }, {}).catch(() => {});
    }
    subscription.forget();
    // Somebody may still hold it and listen again: the server would take the old name for the old subscription.
    subscription.local = this._name();
    this._changed();
  }

  _ask() {
    const wanted = [...this._wanted];
    this._wanted.clear();
    for (const batch of batches(wanted)) this._send(batch);
    this._changed();
  }

  /** @param {Subscription[]} batch */
  _send(batch) {
    const name = this._calls.name();
    let text;
    try {
      text = encodeCall("subscribe", "session", { subscriptions: batch.map((one) => one.entry()) }, name);
    } catch (error) {
      for (const subscription of batch) subscription.refuse(/** @type {RealtimeError} */ (error));
      return;
    }
    for (const subscription of batch) subscription.sent(name);
    this._calls.send(text);
    for (const subscription of batch) this._await(subscription, name);
  }

  /**
   * @param {Subscription} subscription
   * @param {string} name of the call
   */
  _await(subscription, name) {
    const { replies } = subscription;
    this._after(ANSWER_TIMEOUT, () => {
      if (subscription.call !== name || subscription.state === "live") return;
      if (subscription.replies > replies) {
        this._await(subscription, name);
        return;
      }
      subscription.refuse(new RealtimeError("timed_out", "The server did not answer in time."));
      this._later(subscription);
      this._changed();
    });
  }

  /** @param {Subscription} subscription */
  _later(subscription) {
    this._refused.add(subscription);
    this._after(this._backoff.next(), () => this._again(subscription));
  }

  /** @param {Subscription} subscription */
  _again(subscription) {
    if (!this._refused.delete(subscription)) return;
    if (this._followed.get(subscription.local) === subscription) this._askSoon(subscription);
  }

  /**
   * @param {number} delay
   * @param {() => void} fn not called when the connection is gone by then
   */
  _after(delay, fn) {
    const timer = this._clock.setTimeout(() => {
      this._timers.delete(timer);
      fn();
    }, delay);
    this._timers.add(timer);
  }

  _name() {
    this._count += 1;
    return `s${this._count}`;
  }
}

/**
 * @param {Subscription[]} subscriptions
 * @returns {Subscription[][]} each small enough for one call
 */
function batches(subscriptions) {
  /** @type {Subscription[][]} */
  const found = [];
  let size = Infinity;
  for (const subscription of subscriptions) {
    const length = JSON.stringify(subscription.entry()).length;
    if (size + length > LIST_BYTES) {
      found.push([]);
      size = 0;
    }
    found[found.length - 1].push(subscription);
    size += length;
  }
  return found;
}

/**
 * Equal arguments give equal text, however their keys are ordered.
 * @param {unknown} value
 * @returns {string}
 */
function canonical(value) {
  return JSON.stringify(value, (_key, inner) =>
    inner && typeof inner === "object" && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}
