import assert from "node:assert/strict";
import test from "node:test";

import { Store, same } from "../../frontend/store.js";

const LAMP = { id: 1, _type: "device", name: "lamp", on: false };
const FAN = { id: 2, _type: "device", name: "fan", on: false };

/**
 * @param {"created" | "updated" | "deleted"} action
 * @param {any} data
 * @param {number} offset
 * @returns {import("../../frontend/wire.js").Change}
 */
function change(action, data, offset) {
  return { type: "change", action, channel: "device|", data, offset, gone: action === "deleted" };
}

/**
 * @param {object[]} objects
 * @returns {Store}
 */
function filled(objects) {
  const store = new Store();
  store.take(/** @type {any} */ (objects), { positions: { "device|": ["e1", 10] }, first: true, more: false });
  return store;
}

test("a snapshot is shown in one step when its last part is here", () => {
  const store = new Store();
  assert.equal(store.take([LAMP], { positions: { "device|": ["e1", 10] }, first: true, more: true }), null);
  assert.equal(store.items.size, 0);
  assert.equal(store.known, false);
  assert.deepEqual(store.take([FAN], { positions: null, first: false, more: false }), { action: "snapshot" });
  assert.deepEqual([...store.items.values()], [LAMP, FAN]);
});

test("what is not in the new snapshot is gone", () => {
  const store = filled([LAMP, FAN]);
  store.take([FAN], { positions: { "device|": ["e1", 12] }, first: true, more: false });
  assert.deepEqual([...store.items.keys()], [2]);
});

test("a change between two parts belongs to the snapshot that is gathered", () => {
  const store = filled([LAMP]);
  store.take([LAMP], { positions: { "device|": ["e1", 12] }, first: true, more: true });
  assert.equal(store.apply(change("updated", { ...LAMP, on: true }, 13)), null);
  assert.equal(store.items.get(1)?.on, false);
  store.take([FAN], { positions: null, first: false, more: false });
  assert.equal(store.items.get(1)?.on, true);
  assert.deepEqual(store.since, { "device|": ["e1", 13] });
});

test("a deletion between two parts takes the object out of the gathered snapshot", () => {
  const store = new Store();
  store.take([LAMP], { positions: { "device|": ["e1", 12] }, first: true, more: true });
  store.apply(change("deleted", { id: 1, _type: "device" }, 13));
  store.take([FAN], { positions: null, first: false, more: false });
  assert.deepEqual([...store.items.keys()], [2]);
});

test("a cut within a snapshot leaves the old objects at their old position", () => {
  const store = filled([LAMP]);
  store.take([FAN], { positions: { "device|": ["e2", 1] }, first: true, more: true });
  store.abandon();
  assert.deepEqual([...store.items.keys()], [1]);
  assert.deepEqual(store.since, { "device|": ["e1", 10] });
});

test("created is an upsert", () => {
  const store = filled([LAMP]);
  assert.equal(store.apply(change("created", { ...LAMP, on: true }, 11))?.action, "updated");
  assert.equal(store.apply(change("updated", FAN, 12))?.action, "created");
});

test("a deletion of what was never here changes nothing", () => {
  const store = filled([LAMP]);
  assert.equal(store.apply(change("deleted", { id: 9, _type: "device" }, 11)), null);
  assert.deepEqual(store.since, { "device|": ["e1", 11] });
});

test("a change names the fields that differ", () => {
  const store = filled([LAMP]);
  const applied = store.apply(change("updated", { ...LAMP, on: true }, 11));
  assert.deepEqual(applied, { action: "updated", id: 1, before: LAMP, after: { ...LAMP, on: true }, fields: ["on"] });
});

test("a change that shows nothing new is not told", () => {
  const store = filled([{ ...LAMP, desired: { on: true, level: 3 } }]);
  assert.equal(store.apply(change("updated", { ...LAMP, desired: { level: 3, on: true } }, 11)), null);
});

test("before the first snapshot there is nothing to continue", () => {
  assert.equal(new Store().since, null);
});

test("after a resync there is nothing to continue", () => {
  const store = filled([LAMP]);
  store.forgetPosition();
  assert.equal(store.since, null);
});

test("a heartbeat moves the position only forward, and another epoch replaces it", () => {
  const store = filled([LAMP]);
  store.advance({ "device|": ["e1", 40] });
  store.advance({ "device|": ["e1", 20] });
  assert.deepEqual(store.since, { "device|": ["e1", 40] });
  store.advance({ "device|": ["e2", 2] });
  assert.deepEqual(store.since, { "device|": ["e2", 2] });
});

test("a channel that the server no longer names loses its position", () => {
  const store = filled([LAMP]);
  store.continue(["device|location:3"]);
  assert.equal(store.since, null);
});

/** @type {[any, any, boolean][]} */
const PAIRS = [
  [1, 1, true],
  [1, "1", false],
  [null, {}, false],
  [[1, 2], [1, 2], true],
  [[1], { 0: 1 }, false],
  [{ a: { b: 1 } }, { a: { b: 1 } }, true],
  [{ a: undefined }, { b: undefined }, false],
];
for (const [a, b, equal] of PAIRS) {
  test(`${JSON.stringify(a)} and ${JSON.stringify(b)} are ${equal ? "" : "not "}the same`, () => {
    assert.equal(same(a, b), equal);
  });
}
