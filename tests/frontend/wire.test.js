import assert from "node:assert/strict";
import test from "node:test";

import { MAX_CALL_BYTES, decode, encodeBeat, encodeCall } from "../../frontend/wire.js";

test("a call is one JSON object with its four words", () => {
  assert.deepEqual(JSON.parse(encodeCall("update", "device", { id: 17, desired: { on: true } }, "c8")), {
    verb: "update",
    route: "device",
    args: { id: 17, desired: { on: true } },
    callbackname: "c8",
  });
});

test("our heartbeat is the one the server knows", () => {
  assert.deepEqual(JSON.parse(encodeBeat()), { heartbeat: "1" });
});

for (const value of [NaN, Infinity, -Infinity]) {
  test(`${value} is refused instead of being sent as null`, () => {
    assert.throws(() => encodeCall("update", "device", { level: value }, "c1"), { code: "bad_args" });
  });
}

test("a call the server would close the connection for is refused here", () => {
  // Two bytes each on the wire although one character each here.
  const text = "é".repeat(MAX_CALL_BYTES / 2);
  assert.throws(() => encodeCall("update", "device", { text }, "c1"), { code: "too_large" });
});

for (const text of ["", "nonsense", "[]", "null", "1", '"text"', new ArrayBuffer(2)]) {
  test(`${JSON.stringify(text)} is a bad frame`, () => {
    assert.throws(() => decode(text), { code: "bad_frame" });
  });
}

test("a change without an object is a bad frame", () => {
  assert.throws(() => decode('{"type": "change", "action": "updated", "channel": "device|", "data": null}'), { code: "bad_frame" });
});

test("a frame of a kind that is not known yet is told apart, not refused", () => {
  assert.equal(decode('{"type": "presence", "who": []}').type, "unknown");
});

test("a deletion says whether the object is gone or only left the filter", () => {
  const frame = { type: "change", action: "deleted", channel: "device|", data: { id: 1, _type: "device" }, offset: 4 };
  assert.equal(/** @type {any} */ (decode(JSON.stringify({ ...frame, gone: true }))).gone, true);
  assert.equal(/** @type {any} */ (decode(JSON.stringify({ ...frame, gone: false }))).gone, false);
});

/** @type {[string, object][]} frames of SwampDragon 0.4, which has no `type` */
const OLDER = [
  ["reply", { data: [], context: { client_callback_name: "cb_0", verb: "subscribe", state: "success" } }],
  ["change", { data: { id: 1, _type: "device" }, action: "created", channel: "device|" }],
  ["data", { data: { hello: "world" }, channel: "room-r1" }],
  ["heartbeat", { heartbeat: "1" }],
];
for (const [type, frame] of OLDER) {
  test(`a ${type} without a type is known by its shape`, () => {
    assert.equal(decode(JSON.stringify(frame)).type, type);
  });
}
