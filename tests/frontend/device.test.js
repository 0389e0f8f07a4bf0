import assert from "node:assert/strict";
import test from "node:test";

import { face, mainKey, needsAttention, seenWords, words } from "../../frontend/panel/device.js";

const NOW = Date.parse("2026-01-01T12:00:00Z");
const USUAL = { now: NOW, barrier: null, viewOnly: false };

/**
 * A relay that is off and said so two seconds ago.
 * @param {object} [more]
 * @returns {import("../../frontend/panel/device.js").Device}
 */
function relay(more = {}) {
  return {
    id: 1,
    uid: "relay-1",
    name: "Drip pump",
    type: "relay",
    type_name: "Relay",
    schema: { on: { kind: "bool", writable: true }, power: { kind: "number", unit: "W" } },
    location: 3,
    location_name: "Greenhouse",
    desired: { on: false },
    reported: { on: false, power: 0 },
    is_on: false,
    presence: "online",
    last_seen: "2026-01-01T11:59:58Z",
    reported_at: "2026-01-01T11:59:58Z",
    pending: null,
    failed: null,
    ...more,
  };
}

const PENDING = { pending: { values: { on: true }, since: "2026-01-01T11:59:59Z", by: "operator" } };
const FAILED = { failed: { code: "no_answer", message: "", values: { on: true } } };

test("the reported state stands large, the wish beside it", () => {
  const shown = face(relay(PENDING), USUAL);
  assert.deepEqual([shown.state, shown.value, shown.wish, shown.doing], ["pending", "Off", "On", "Turning on"]);
  assert.deepEqual([shown.toggle?.value, shown.toggle?.wish, shown.on], [false, true, false]);
});

test("what is desired but not pending is no wish: the server says what is open", () => {
  const shown = face(relay({ desired: { on: true } }), USUAL);
  assert.deepEqual([shown.state, shown.wish, shown.toggle?.wish], ["confirmed", null, undefined]);
});

test("our own wish stands beside the state before the server has answered", () => {
  const shown = face(relay(), { ...USUAL, asking: { on: true } });
  assert.deepEqual([shown.state, shown.value, shown.wish], ["pending", "Off", "On"]);
});

test("an open wish for one value leaves the others alone", () => {
  const schema = { on: { kind: "bool", writable: true }, level: { kind: "number", unit: "%", writable: true, min: 0, max: 100, main: true } };
  const pending = { values: { level: 72 }, since: "2026-01-01T11:59:59Z" };
  const shown = face(relay({ schema, reported: { on: true, level: 60 }, pending }), USUAL);
  assert.deepEqual([shown.value, shown.unit, shown.wish, shown.doing], ["60", "%", "72", "Going to 72 %"]);
  assert.deepEqual([shown.slider?.value, shown.slider?.wish, shown.toggle?.wish], [60, 72, undefined]);
});

/** @type {[string, object, string][]} */
const PROBLEMS = [
  ["no answer", { code: "no_answer", message: "timeout" }, "No answer"],
  ["a refusal with its reason", { code: "refused", message: "tank is empty" }, "Refused: tank is empty"],
  ["a refusal without one", { code: "refused", message: "" }, "Refused"],
  ["a device that was not reached", { code: "undelivered", message: "" }, "Not reached"],
  ["what is not known yet, in the server's words", { code: "melted", message: "It melted." }, "It melted."],
];
for (const [name, failed, expected] of PROBLEMS) {
  test(`says ${name}`, () => {
    assert.equal(face(relay({ failed }), USUAL).problem, expected);
  });
}

test("what failed can be asked again, but not by those who only watch", () => {
  assert.equal(face(relay(FAILED), USUAL).retry, true);
  assert.equal(face(relay(FAILED), { ...USUAL, viewOnly: true }).retry, false);
  assert.equal(face(relay(FAILED), { ...USUAL, barrier: "No connection to the server" }).retry, false);
});

test("a newer wish hides the failure of the former", () => {
  assert.equal(face(relay({ ...FAILED, ...PENDING }), USUAL).state, "pending");
});

for (const presence of ["offline", "lost"]) {
  test(`a device that is ${presence} keeps its last value and locks its switch`, () => {
    const device = relay({ ...PENDING, presence });
    const shown = face(device, USUAL);
    assert.deepEqual([shown.state, shown.value, shown.toggle?.locked], ["offline", "Off", "The device is offline"]);
    assert.match(seenWords(shown, device, NOW), /^since \d\d:\d\d$/);
  });
}

test("unknown is neither off nor offline", () => {
  const device = relay({ reported: {}, presence: "unknown", is_on: null, last_seen: null, reported_at: null });
  const shown = face(device, USUAL);
  assert.deepEqual([shown.state, shown.value, shown.on], ["unknown", "—", false]);
  assert.equal(shown.toggle?.locked, "Its state is not known yet");
  assert.equal(seenWords(shown, device, NOW), "Not heard from yet");
  assert.equal(needsAttention(device), false);
});

/** @type {[object, object, string | null][]} */
const LOCKS = [
  [{}, {}, null],
  [{}, { viewOnly: true }, "View only"],
  [{}, { barrier: "No connection to the server" }, "No connection to the server"],
  [{ enabled: false }, {}, "The device is switched out of use"],
];
for (const [more, moment, locked] of LOCKS) {
  test(`the switch is ${locked === null ? "free" : `locked: ${locked}`}`, () => {
    assert.equal(face(relay(more), { ...USUAL, ...moment }).toggle?.locked, locked);
  });
}

test("a sensor has nothing to switch", () => {
  const schema = { temperature: { kind: "number", unit: "°C" }, battery: { kind: "number", unit: "%" } };
  const shown = face(relay({ schema, reported: { temperature: 24.3, battery: 86.4 }, is_on: null }), USUAL);
  assert.deepEqual([shown.toggle, shown.slider, shown.measures, shown.value, shown.unit, shown.battery], [null, null, true, "24.3", "°C", "86 %"]);
});

test("a reported on that nobody may write is shown and not switched", () => {
  const shown = face(relay({ schema: { on: { kind: "bool" } }, reported: { on: true }, is_on: true }), USUAL);
  assert.deepEqual([shown.toggle, shown.value, shown.on], [null, "On", true]);
});

test("the second line names the kind, then the detail or what else it reports", () => {
  assert.equal(face(relay(), USUAL).detail, "Relay · 0 W");
  assert.equal(face(relay({ detail: "zone 1" }), USUAL).detail, "Relay · zone 1");
});

/** @type {[Record<string, any>, string][]} */
const MAINS = [
  [{ on: { kind: "bool", writable: true }, power: { kind: "number", main: true } }, "power"],
  [{ power: { kind: "number" }, on: { kind: "bool", writable: true } }, "on"],
  [{ on: { kind: "bool", writable: true }, level: { kind: "number", writable: true, min: 0, max: 9 } }, "level"],
  [{ battery: { kind: "number" }, temperature: { kind: "number" } }, "temperature"],
  [{ battery: { kind: "number" } }, "battery"],
];
for (const [schema, key] of MAINS) {
  test(`of ${Object.keys(schema).join(" and ")} ${key} stands large`, () => {
    assert.equal(mainKey(schema), key);
  });
}

/** @type {[any, any, string[]][]} */
const VALUES = [
  [{ kind: "bool" }, true, ["On", ""]],
  [{ kind: "bool", words: ["Closed", "Open"] }, false, ["Closed", ""]],
  [{ kind: "number", unit: "W" }, 0, ["0", "W"]],
  [{ kind: "number", unit: "W" }, "318.4", ["318", "W"]],
  [{ kind: "number", unit: "°C", decimals: 1 }, 7, ["7.0", "°C"]],
  [{ kind: "number" }, null, ["—", ""]],
  [{ kind: "enum" }, "eco", ["eco", ""]],
  [undefined, undefined, ["—", ""]],
];
for (const [key, value, expected] of VALUES) {
  test(`${JSON.stringify(value)} of ${JSON.stringify(key)} reads ${expected.join(" ")}`, () => {
    assert.deepEqual(words(key, value), expected);
  });
}
