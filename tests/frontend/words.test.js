import assert from "node:assert/strict";
import test from "node:test";

import { History, course, table } from "../../frontend/panel/history.js";
import { age, clockTime, counted, lapse, number, title } from "../../frontend/panel/words.js";

/** @type {[number, string][]} */
const AGES = [
  [-5_000, "now"],
  [1_400, "now"],
  [2_000, "2 s ago"],
  [59_999, "59 s ago"],
  [60_000, "1 min ago"],
  [3_600_000, "1 h ago"],
  [90_000_000, "1 d ago"],
];
for (const [milliseconds, expected] of AGES) {
  test(`${milliseconds} ms are ${expected}`, () => assert.equal(age(milliseconds), expected));
}

/** @type {[number, string][]} */
const LAPSES = [
  [-10, "0.0 s"],
  [1_440, "1.4 s"],
  [12_900, "12 s"],
  [125_000, "2 min"],
];
for (const [milliseconds, expected] of LAPSES) {
  test(`${milliseconds} ms last ${expected}`, () => assert.equal(lapse(milliseconds), expected));
}

/** @type {[number, number | undefined, string][]} */
const NUMBERS = [
  [0.421, undefined, "0.42"],
  [24.31, undefined, "24.3"],
  [318.2, undefined, "318"],
  [-0.5, undefined, "-0.5"],
  [7, 1, "7.0"],
];
for (const [value, decimals, expected] of NUMBERS) {
  test(`${value} with ${decimals} decimals is ${expected}`, () => assert.equal(number(value, decimals), expected));
}

test("a time of another day says which", () => {
  const now = Date.parse("2026-03-03T13:00:00Z");
  assert.equal(clockTime(Date.parse("2026-03-03T12:41:07Z"), now, { timeZone: "UTC" }), "12:41");
  assert.equal(clockTime(Date.parse("2026-03-03T12:41:07Z"), now, { timeZone: "UTC", seconds: true }), "12:41:07");
  assert.equal(clockTime(Date.parse("2026-03-02T12:41:07Z"), now, { timeZone: "UTC" }), "2 Mar, 12:41");
});

test("one device, two devices", () => {
  assert.deepEqual([counted(1, "device"), counted(2, "device"), counted(0, "entry", "entries")], ["1 device", "2 devices", "0 entries"]);
});

test("a slug reads like a word", () => assert.equal(title("drip-pump_2"), "Drip pump 2"));

test("history keeps the newest points and no older report after a newer", () => {
  const history = new History();
  for (let time = 1; time <= 100; time += 1) history.add(1, time, time);
  history.add(1, 50, 7);
  assert.equal(history.of(1).length, 60);
  assert.deepEqual(history.of(1).at(-1), [100, 100]);
});

test("history takes numbers, decimals and switches, and leaves out the rest", () => {
  const history = new History();
  [24.3, "24.4", true, null, "warm", NaN].forEach((value, index) => history.add(1, index, value));
  assert.deepEqual(history.of(1), [[0, 24.3], [1, 24.4], [2, 1]]);
});

test("the past that is loaded later goes before what came meanwhile", () => {
  const history = new History();
  history.add(1, 10, 3);
  history.seed(1, [[8, 1], [9, 2], [10, 9], [11, 9]]);
  assert.deepEqual(history.of(1), [[8, 1], [9, 2], [10, 3]]);
});

const SHAPE = { width: 100, height: 10, steps: false, silent: false };

test("too little history is no line", () => {
  assert.equal(course([], 0, SHAPE), null);
  assert.equal(course([[0, 1], [1_000, 2]], 2_000, SHAPE), null);
});

test("the line spans from the first point to now", () => {
  const drawn = course([[0, 0], [50_000, 10]], 100_000, SHAPE);
  assert.equal(drawn?.line, "M0.0 9.0L50.0 1.0H100.0");
  assert.equal(drawn?.tail, "");
});

test("on and off have nothing in between", () => {
  assert.equal(course([[0, 0], [50_000, 1]], 100_000, { ...SHAPE, steps: true })?.line, "M0.0 9.0H50.0V1.0H100.0");
});

test("a constant value is a line in the middle", () => {
  assert.equal(course([[0, 5], [50_000, 5]], 50_000, SHAPE)?.line, "M0.0 5.0L50000.0 5.0H50000.0".replaceAll("50000.0", "100.0"));
});

test("where nothing is known the line ends and only a trace goes on", () => {
  const drawn = course([[0, 0], [50_000, 10]], 100_000, { ...SHAPE, silent: true });
  assert.equal(drawn?.line, "M0.0 9.0L50.0 1.0");
  assert.equal(drawn?.tail, "M50.0 1.0H100.0");
});

test("a chart has a gap where the device was away", () => {
  const points = /** @type {import("../../frontend/panel/history.js").Point[]} */ ([[0, 1], [1_000, 2], [2_000, 3], [60_000, 4], [61_000, 5]]);
  assert.deepEqual(table(points, false), [[0, 1, 2, 31, 60, 61], [1, 2, 3, null, 4, 5]]);
  assert.deepEqual(table(points, true), [[0, 1, 2, 60, 61], [1, 2, 3, 4, 5]]);
});
