/**
 * The objects of one live collection: snapshots and changes in, a Map out. Pure.
 *
 * A snapshot arrives in parts. They are gathered beside what is shown and take its place in one step when the last one
 * is there, so a screen never shows half of two moments. Changes that arrive between the parts belong to what is being
 * gathered. The store keeps the position that goes with what it shows, so that a cut in the middle of a snapshot
 * continues from the old contents at their old position.
 */

/**
 * @typedef {import("./wire.js").Item} Item
 * @typedef {import("./wire.js").Positions} Positions
 * @typedef {import("./wire.js").Change} Change
 * @typedef {{items: Map<Item["id"], Item>, positions: Positions}} Moment
 *
 * @typedef {object} Applied what a change did to the shown objects
 * @property {"created" | "updated" | "deleted" | "snapshot" | "emptied"} action
 * @property {Item["id"]} [id]
 * @property {Item | null} [before]
 * @property {Item | null} [after]
 * @property {string[]} [fields] names whose values differ between `before` and `after`
 */

export class Store {
  constructor() {
    /** @type {Moment} */
    this._shown = moment();
    /** @type {Moment | null} */
    this._gathered = null;
    /** Whether a snapshot was ever complete: "no objects" and "not known yet" are two things. */
    this.known = false;
  }

  /** @returns {Map<Item["id"], Item>} what is shown; the same Map until the next snapshot */
  get items() {
    return this._shown.items;
  }

  /** @returns {Positions | null} for `_since`; null when nothing can be continued */
  get since() {
    return this.known && Object.keys(this._shown.positions).length > 0 ? this._shown.positions : null;
  }

  /** A subscribe is on its way: what was gathered for an earlier one is worth nothing. */
  abandon() {
    this._gathered = null;
  }

  /** What is shown cannot be continued any more (resync): only a whole snapshot will do. */
  forgetPosition() {
    this._shown.positions = {};
    this._gathered = null;
  }

  /** @returns {Applied} */
  empty() {
    this._shown = moment();
    this._gathered = null;
    this.known = false;
    return { action: "emptied" };
  }

  /**
   * @param {Item[]} objects
   * @param {{positions: Positions | null, first: boolean, more: boolean}} part
   * @returns {Applied | null} null while further parts are missing
   */
  take(objects, { positions, first, more }) {
    if (first || this._gathered === null) this._gathered = moment();
    for (const object of objects) this._gathered.items.set(object.id, object);
    advance(this._gathered.positions, positions);
    if (more) return null;
    this._shown = this._gathered;
    this._gathered = null;
    this.known = true;
    return { action: "snapshot" };
  }

  /**
   * The server continues from where we were: only positions of channels that still exist are worth keeping.
   * @param {string[]} channels
   */
  continue(channels) {
    this._gathered = null;
    const { positions } = this._shown;
    for (const channel of Object.keys(positions)) if (!channels.includes(channel)) delete positions[channel];
  }

  /**
   * @param {Change} change
   * @returns {Applied | null} null when nothing that is shown differs
   */
  apply(change) {
    const into = this._gathered ?? this._shown;
    const position = into.positions[change.channel];
    if (position && change.offset !== null && change.offset > position[1]) position[1] = change.offset;
    const { id } = change.data;
    const before = into.items.get(id) ?? null;
    if (change.action === "deleted") into.items.delete(id);
    else into.items.set(id, change.data);
    if (this._gathered !== null) return null;
    if (change.action === "deleted") return before && { action: "deleted", id, before, after: null, fields: [] };
    const fields = before ? differing(before, change.data) : Object.keys(change.data);
    if (before && fields.length === 0) return null;
    return { action: before ? "updated" : "created", id, before, after: change.data, fields };
  }

  /** @returns {boolean} whether a snapshot has begun to arrive */
  get gathering() {
    return this._gathered !== null;
  }

  /**
   * A heartbeat said how far the stream is although nothing matched.
   * @param {Positions} positions
   */
  advance(positions) {
    advance((this._gathered ?? this._shown).positions, positions);
  }
}

/** @returns {Moment} */
function moment() {
  return { items: new Map(), positions: {} };
}

/**
 * Offsets only grow within an epoch; another epoch replaces.
 * @param {Positions} into
 * @param {Positions | null} from
 */
function advance(into, from) {
  for (const [channel, [epoch, offset]] of Object.entries(from ?? {})) {
    const held = into[channel];
    if (!held || held[0] !== epoch || held[1] < offset) into[channel] = [epoch, offset];
  }
}

/**
 * @param {Item} before
 * @param {Item} after
 */
function differing(before, after) {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...names].filter((name) => !same(before[name], after[name]));
}

/**
 * Equality of JSON values; the order of keys means nothing.
 * @param {any} a
 * @param {any} b
 * @returns {boolean}
 */
export function same(a, b) {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => key in b && same(a[key], b[key]));
}
