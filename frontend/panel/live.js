/**
 * What the panel knows and what it may ask for: the devices, their places, our own rights and wishes. No markup.
 *
 * Events: `change` (something on the screen may differ), `said` (detail: a line for the announcer), `told` (detail: a
 * matter for the toast).
 */

import { connect } from "../client.js";
import { face, mainKey, time } from "./device.js";
import { History } from "./history.js";

/**
 * The device's own change follows its reply at once; without one the wish was already fulfilled, or changes are delayed,
 * which the server says by then.
 */
const AFTER_REPLY = 3_000;
/** By then the server has ended every wish one way or another. */
const LONGEST_WISH = 15_000;
/** Lines of history that are asked for at the same time: the server answers 20 calls a second per connection. */
const SEEDS = 3;

/**
 * @typedef {import("./device.js").Device} Device
 * @typedef {import("./grid.js").Place} Place
 * @typedef {import("../errors.js").RealtimeError} RealtimeError
 * @typedef {{id: number, location: number, role: "viewer" | "operator" | "manager"}} Membership
 */

export class Live extends EventTarget {
  /** @param {string} url of the WebSocket */
  constructor(url) {
    super();
    this.client = connect({ url });
    this.history = new History();
    /** @type {Map<Device["id"], Device>} */
    this.devices = new Map();
    /** @type {Map<Place["id"], Place>} */
    this.places = new Map();
    /** @type {import("../subscription.js").State} of the devices */
    this.state = "loading";
    /** @type {RealtimeError | null} why there are no devices */
    this.error = null;
    /** @type {Map<Membership["location"], Membership["role"]> | null} null: not known */
    this._roles = null;
    /** @type {Map<Device["id"], Record<string, any>>} wishes the server has not answered yet */
    this._asking = new Map();
    /** @type {Map<Device["id"], Record<string, any>>} our own wishes until they have ended */
    this._mine = new Map();
    /** @type {Set<Device["id"]>} */
    this._seeded = new Set();
    /** @type {Device[]} */
    this._seeds = [];
    this._seeding = 0;
    /** @type {[Device["id"], Record<string, any>][]} obeyed, but what came of it is delayed */
    this._unseen = [];
    this._behind = false;
    /** @type {import("../status.js").Name | null} */
    this._name = null;
  }

  start() {
    const devices = this.client.collection("device");
    devices.subscribe((items, state, change) => {
      this.devices = /** @type {Map<any, Device>} */ (/** @type {unknown} */ (items));
      this.state = state;
      this.error = devices.error;
      if (change?.action === "emptied") this._forget();
      if (change?.action === "snapshot") for (const device of this.devices.values()) this._record(device);
      if (change?.after) this._changed(/** @type {any} */ (change.before), /** @type {any} */ (change.after));
      this._tell();
    });
    this.client.collection("location").subscribe((items) => {
      this.places = /** @type {Map<any, Place>} */ (/** @type {unknown} */ (items));
      this._tell();
    });
    const memberships = this.client.collection("membership");
    memberships.subscribe((items, state) => {
      const own = /** @type {Membership[]} */ (/** @type {unknown} */ ([...items.values()]));
      this._roles = state === "loading" || state === "failed" ? null : new Map(own.map((one) => [one.location, one.role]));
      this._tell();
    });
    this.client.onStatus((status) => {
      const { name, health } = status;
      if (name !== this._name && name === "offline") this._say("Connection lost");
      if (name !== this._name && name === "live") this._say(this._name === "behind" ? "What is shown is up to date again" : "Connected");
      this._name = name;
      this._noticed(health?.behind ?? false);
      this._tell();
    });
  }

  /** Whether what is shown is confirmed to be the truth. */
  get fresh() {
    return this._linked && this.state === "live" && !this.client.status.health?.behind;
  }

  /** @returns {string | null} why no command makes sense now; one that can be obeyed does, though its effect is shown later */
  get barrier() {
    if (!this._linked) return "No connection to the server";
    if (this.client.status.health?.saving === false) return "Nothing can be saved at the moment";
    return this.state === "live" ? null : "What is shown is not up to date yet";
  }

  get _linked() {
    const { name } = this.client.status;
    return name === "live" || name === "behind" || name === "catching_up";
  }

  /** @returns {number} */
  now() {
    return this.client.now();
  }

  /** @param {Device} device */
  viewOnly(device) {
    if (this.client.identity?.user?.is_staff || this._roles === null) return false;
    const role = device.location == null ? undefined : this._roles.get(device.location);
    return role !== "operator" && role !== "manager";
  }

  /** @param {Device["id"]} id */
  asking(id) {
    return this._asking.get(id) ?? null;
  }

  /** @param {Device["id"]} id */
  mine(id) {
    return this._mine.has(id);
  }

  /**
   * @param {Device} device
   * @param {Record<string, any>} desired
   * @param {{isUndo?: boolean}} [how] an undone wish offers no undo of its own
   */
  async wish(device, desired, { isUndo = false } = {}) {
    const reported = this.devices.get(device.id)?.reported ?? {};
    const before = Object.fromEntries(Object.keys(desired).map((key) => [key, reported[key]]));
    const undoable = !isUndo && Object.values(before).every((value) => value !== undefined);
    await this._ask(device, desired, "update", { id: device.id, desired }, undoable ? before : null);
  }

  /** Asks again for what came to nothing. @param {Device} device */
  async retry(device) {
    await this._ask(device, device.failed?.values ?? {}, "retry", { id: device.id }, null);
  }

  /** The line of a card that came into view. @param {Device} device */
  seed(device) {
    if (this._seeded.has(device.id)) return;
    this._seeded.add(device.id);
    this._seeds.push(device);
    this._seedNext();
  }

  /**
   * @param {Device} device
   * @param {Record<string, any>} desired
   * @param {string} verb
   * @param {Record<string, unknown>} args
   * @param {Record<string, any> | null} undo
   */
  async _ask(device, desired, verb, args, undo) {
    this._asking.set(device.id, desired);
    this._mine.set(device.id, desired);
    this._tell();
    try {
      await this.client.call("device", verb, args);
      setTimeout(() => this._replied(device.id, desired), AFTER_REPLY);
      setTimeout(() => this._ended(device.id, desired), LONGEST_WISH);
      this._told(this.fresh ? { device, undo } : { text: `${device.name}: asked. You will see what came of it.` });
    } catch (error) {
      this._answered(device.id, desired);
      this._ended(device.id, desired);
      this._told({ text: `${device.name}: ${reasonOf(/** @type {RealtimeError} */ (error))}` });
    }
  }

  /**
   * The server obeyed long enough ago to see it. As long as changes are delayed the wish stands on the card: nobody
   * knows yet what became of it.
   * @param {Device["id"]} id
   * @param {Record<string, any>} desired
   */
  _replied(id, desired) {
    if (this._behind) this._unseen.push([id, desired]);
    else this._answered(id, desired);
  }

  /** @param {boolean} behind */
  _noticed(behind) {
    this._behind = behind;
    if (behind) return;
    for (const [id, desired] of this._unseen.splice(0)) this._answered(id, desired);
  }

  /**
   * @param {Device["id"]} id
   * @param {Record<string, any>} desired
   */
  _answered(id, desired) {
    // A newer wish for the same device waits for its own answer.
    if (this._asking.get(id) !== desired) return;
    this._asking.delete(id);
    this._tell();
  }

  /**
   * @param {Device["id"]} id
   * @param {Record<string, any>} desired
   */
  _ended(id, desired) {
    if (this._mine.get(id) !== desired) return;
    this._mine.delete(id);
    this._tell();
  }

  /**
   * @param {Device | null} before
   * @param {Device} after
   */
  _changed(before, after) {
    this._record(after);
    if (before && (after.pending || before.desired !== after.desired)) this._asking.delete(after.id);
    const shown = face(after, { now: 0, barrier: null, viewOnly: false });
    if (before && before.is_on !== after.is_on && after.is_on != null) {
      this._say(`${after.name} is ${(shown.toggle ? shown.value : after.is_on ? "on" : "off").toLowerCase()}`);
    }
    if (before && !before.failed && after.failed) this._say(`${after.name}: ${shown.problem}`);
    if (before && before.presence !== after.presence && shown.state === "offline") this._say(`${after.name} is offline`);
    const mine = this._mine.get(after.id);
    // The card must still see that the change was ours when it draws it.
    if (mine && before?.pending && !after.pending) setTimeout(() => this._ended(after.id, mine), AFTER_REPLY);
  }

  /** @param {Device} device */
  _record(device) {
    const key = mainKey(device.schema ?? {});
    const at = time(device.reported_at);
    if (key !== undefined && at !== null) this.history.add(device.id, at, device.reported?.[key]);
  }

  _forget() {
    this.history.clear();
    this._asking.clear();
    this._mine.clear();
    this._seeded.clear();
    this._seeds = [];
    this._unseen = [];
  }

  async _seedNext() {
    if (this._seeding >= SEEDS) return;
    const device = this._seeds.shift();
    if (!device) return;
    this._seeding += 1;
    try {
      this.history.seed(device.id, await this._past(device));
      this._tell();
    } catch {
      // The line is an ornament: without its past it begins now. It is asked for again when the card comes back.
      this._seeded.delete(device.id);
    }
    this._seeding -= 1;
    this._seedNext();
  }

  /**
   * @param {Device} device
   * @returns {Promise<import("./history.js").Point[]>}
   */
  async _past(device) {
    const key = mainKey(device.schema ?? {});
    if (key === undefined) return [];
    const isSwitch = key === "on";
    if (!isSwitch && device.schema?.[key].kind !== "number") return [];
    const rows = await this.client.call(isSwitch ? "status" : "attribute", "get_list", isSwitch ? { device: device.id } : { device: device.id, name: key });
    /** @type {import("./history.js").Point[]} */
    const points = rows.map((/** @type {any} */ row) => [Date.parse(row.valid_at), Number(isSwitch ? row.is_on : row.value)]);
    return points.filter(([at, value]) => Number.isFinite(at) && Number.isFinite(value)).sort(([a], [b]) => a - b);
  }

  _tell() {
    this.dispatchEvent(new Event("change"));
  }

  /** @param {string} line */
  _say(line) {
    this.dispatchEvent(new CustomEvent("said", { detail: line }));
  }

  /** @param {import("./toast.js").Matter} matter */
  _told(matter) {
    this.dispatchEvent(new CustomEvent("told", { detail: matter }));
  }
}

/**
 * @param {RealtimeError} error
 * @returns {string} for the one who wished
 */
function reasonOf(error) {
  if (error.code === "disconnected") return "the connection broke; it is not known whether the device was asked";
  if (error.code === "timed_out") return "the server did not answer in time";
  if (error.code === "not_allowed") return "you may not switch this device";
  const fields = error.data && typeof error.data === "object" ? Object.values(error.data).flat() : [];
  return fields.map(String).join(" ") || error.message;
}
