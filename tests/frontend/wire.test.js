import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { Collection } from "../../frontend/subscription.js";
import { MAX_CALL_BYTES, decode, encodeBeat, encodeCall } from "../../frontend/wire.js";

/**
 * The golden frames, which the server's tests read too.
 * @param {string} file
 * @returns {{name: string, frame: any}[]}
 */
function golden(file) {
  return JSON.parse(readFileSync(new URL(`../wire/${file}`, import.meta.url), "utf-8")).frames;
}

/** @param {string} name */
function goldenReply(name) {
  const found = golden("reply.json").find((entry) => entry.name === name);
  return /** @type {import("../../frontend/wire.js").Reply} */ (decode(JSON.stringify(found?.frame)));
}

for (const { name, frame } of golden("call.json")) {
  const { verb, route, args, callbackname } = frame;
  if (args === undefined) continue; // this client always says both
  test(`the golden call "${name}" is what this client sends`, () => {
    assert.deepEqual(JSON.parse(encodeCall(verb, route, args, callbackname)), frame);
  });
}

test("the golden heartbeat is what this client sends", () => {
  assert.deepEqual(JSON.parse(encodeBeat()), golden("beat.json")[0].frame);
});

for (const { name, frame } of golden("reply.json")) {
  test(`the golden reply "${name}" is understood`, () => {
    const { context, channel_data } = frame;
    const reply = /** @type {import("../../frontend/wire.js").Reply} */ (decode(JSON.stringify(frame)));
    assert.equal(reply.type, "reply");
    assert.equal(reply.name, context.client_callback_name ?? null);
    assert.equal(reply.verb, context.verb);
    assert.equal(reply.state, "success");
    assert.deepEqual(reply.data, frame.data);
    assert.deepEqual(reply.position, context.position ?? null);
    assert.equal(reply.recovered, context.recovered ?? null);
    assert.equal(reply.more, context.more ?? false);
    assert.deepEqual(reply.channelData, channel_data ?? null);
  });
}

for (const { name, frame } of golden("error.json")) {
  test(`the golden error "${name}" is understood`, () => {
    const reply = /** @type {import("../../frontend/wire.js").Reply} */ (decode(JSON.stringify(frame)));
    assert.equal(reply.type, "reply");
    assert.notEqual(reply.state, "success");
    assert.deepEqual(reply.error, frame.context.error);
    assert.deepEqual(reply.data, frame.data);
  });
}

for (const { name, frame } of golden("change.json")) {
  test(`the golden change "${name}" is understood`, () => {
    const change = decode(JSON.stringify(frame));
    assert.deepEqual(change, {
      type: "change",
      action: frame.action,
      channel: frame.channel,
      data: frame.data,
      offset: frame.offset,
      gone: frame.gone ?? frame.action === "deleted",
    });
  });
}

for (const { name, frame } of golden("data.json")) {
  test(`the golden message "${name}" is understood`, () => {
    assert.deepEqual(decode(JSON.stringify(frame)), { type: "data", channel: frame.channel, data: frame.data, offset: frame.offset });
  });
}

for (const file of ["resync.json", "heartbeat.json"]) {
  for (const { name, frame } of golden(file)) {
    test(`the golden ${frame.type} "${name}" is understood`, () => {
      const read = /** @type {any} */ (decode(JSON.stringify(frame)));
      assert.equal(read.type, frame.type);
      assert.deepEqual(read.position, frame.position ?? null);
      assert.equal(read.channel, frame.channel);
    });
  }
}

test("the golden snapshot in parts becomes one collection", () => {
  const collection = new Collection({ request() {}, leave() {} }, "devices", "device", {});
  collection.sent("c7");
  assert.equal(collection.receive(goldenReply("first part of a snapshot")), null);
  assert.equal(collection.state, "loading");
  assert.equal(collection.receive(goldenReply("last part of a snapshot")), null);
  assert.deepEqual([...collection.items.keys()], [17, 18]);
  assert.equal(collection.state, "live");
});

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
