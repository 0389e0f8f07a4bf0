import assert from "node:assert/strict";
import test from "node:test";

import { read, write } from "../../frontend/panel/address.js";
import { chosen, counts, groups, rail } from "../../frontend/panel/grid.js";

/**
 * @param {number} id
 * @param {string} name
 * @param {object} [more]
 * @returns {any}
 */
function device(id, name, more = {}) {
  return { id, uid: `d-${id}`, name, type: "relay", location: 1, location_name: "Greenhouse", reported: { on: false }, is_on: false, presence: "online", ...more };
}

const FAN = device(1, "Exhaust fan", { is_on: true, reported: { on: true } });
const PUMP = device(2, "Drip pump", { pending: { values: { on: true }, since: "" } });
const VENT = device(3, "Vent window", { failed: { code: "no_answer" } });
const MILL = device(4, "CNC controller", { location: 2, location_name: "Workshop", presence: "offline" });
const BOARD = device(5, "New board", { location: null, location_name: null, presence: "unknown", reported: {}, is_on: null });
const ALL = [FAN, PUMP, VENT, MILL, BOARD];
const PLACES = new Map([[1, { id: 1, name: "Greenhouse" }], [2, { id: 2, name: "Workshop" }], [3, { id: 3, name: "Attic" }]]);

/** @param {Partial<import("../../frontend/panel/grid.js").Filter>} filter */
function ids(filter) {
  return chosen(ALL, { show: "all", text: "", place: null, ...filter }).map((one) => one.id);
}

test("the chips count what they show", () => {
  const numbers = counts(ALL);
  assert.deepEqual(numbers, { all: 5, on: 1, pending: 1, attention: 2 });
  for (const show of /** @type {const} */ (["all", "on", "pending", "attention"])) assert.equal(ids({ show }).length, numbers[show]);
});

test("devices stand by name", () => {
  assert.deepEqual(ids({}), [4, 2, 1, 5, 3]);
});

test("numbers within names count as numbers", () => {
  const found = chosen([device(1, "Lamp 10"), device(2, "lamp 9")], { show: "all", text: "", place: null });
  assert.deepEqual(found.map((one) => one.id), [2, 1]);
});

test("every word of the search must be found, wherever it stands", () => {
  assert.deepEqual(ids({ text: "FAN green" }), [1]);
  assert.deepEqual(ids({ text: "d-4" }), [4]);
  assert.deepEqual(ids({ text: "fan workshop" }), []);
});

test("a location shows its own, and those without one have their place too", () => {
  assert.deepEqual(ids({ place: "2" }), [4]);
  assert.deepEqual(ids({ place: "none" }), [5]);
});

test("nothing is missing from the groups; those without a location come last", () => {
  const found = groups(ALL, PLACES);
  assert.deepEqual(found.map((group) => [group.name, group.devices.length]), [["Greenhouse", 3], ["Workshop", 1], ["No location", 1]]);
});

test("a location that is not known yet is named as the device names it", () => {
  assert.equal(groups([FAN], new Map())[0].name, "Greenhouse");
});

test("a group tells its temperature from what is measured, not from what is wanted or long gone", () => {
  const schema = { temperature: { kind: "number", unit: "°C" }, target: { kind: "number", unit: "°C", writable: true } };
  const warm = (/** @type {number} */ temperature, more = {}) => device(temperature, "t", { schema, reported: { temperature, target: 90 }, ...more });
  const [group] = groups([warm(20), warm(22), warm(80, { presence: "lost" })], PLACES);
  assert.deepEqual(group.facts, ["3 devices", "21 °C"]);
});

test("the rail has every location; red where something failed, green where all is known to be well", () => {
  const well = device(6, "Shed lamp", { location: 3, location_name: "Attic" });
  const found = rail([...ALL, well], PLACES).map(({ name, count, tone }) => [name, count, tone]);
  assert.deepEqual(found, [["Attic", 1, "good"], ["Greenhouse", 3, "bad"], ["Workshop", 1, ""], ["No location", 1, ""]]);
  assert.deepEqual(rail([], PLACES).map(({ count }) => count), [0, 0, 0]);
});

test("the address and the filter are each other's reverse", () => {
  for (const filter of [
    { show: "all", text: "", place: null },
    { show: "attention", text: "fan & light", place: "3" },
    { show: "on", text: "50 %", place: "none" },
  ]) {
    const { pathname, search } = new URL(write(/** @type {any} */ (filter)), "http://test");
    assert.deepEqual(read({ pathname, search }), { screen: "devices", filter });
  }
});

/** @type {[string, object][]} */
const ADDRESSES = [
  ["/device/17/", { screen: "device", id: 17 }],
  ["/device/x/", { screen: "missing" }],
  ["/?show=nonsense", { screen: "devices", filter: { show: "all", text: "", place: null } }],
];
for (const [address, expected] of ADDRESSES) {
  test(`${address} is understood`, () => {
    const { pathname, search } = new URL(address, "http://test");
    assert.deepEqual(read({ pathname, search }), expected);
  });
}
