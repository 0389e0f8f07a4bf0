import assert from "node:assert/strict";
import test from "node:test";

import { connect } from "../../frontend/client.js";
import { FakeServer, settle } from "../../frontend/testing.js";

const LAMP = { id: 1, _type: "device", name: "lamp", on: false };
const FAN = { id: 2, _type: "device", name: "fan", on: false };
const OPERATOR = { user: { id: 1, username: "operator" }, time: "2026-01-01T00:00:00+00:00" };

/** @param {Partial<import("../../frontend/client.js").Options>} [options] */
function begin(options = {}) {
  const server = new FakeServer();
  const client = connect({ url: "ws://test/ws", WebSocket: server.WebSocket, surroundings: server.surroundings, ...options });
  return { server, client };
}

/** @param {Partial<import("../../frontend/client.js").Options>} [options] */
async function beginLive(options) {
  const { server, client } = begin(options);
  server.accept();
  await server.answerIdentity(OPERATOR);
  return { server, client };
}

/**
 * @param {FakeServer} server
 * @param {object} [identity]
 */
async function comeBack(server, identity = OPERATOR) {
  server.page.online();
  server.accept();
  await server.answerIdentity(identity);
}

/** @param {import("../../frontend/subscription.js").Collection} collection */
function watch(collection) {
  /** @type {{ids: any[], state: string, action: string | null}[]} */
  const seen = [];
  const undo = collection.subscribe((items, state, change) => {
    seen.push({ ids: [...items.keys()], state, action: change?.action ?? null });
  });
  return { seen, undo };
}

// Calls

test("a call resolves with the data of its reply, whatever the order of the replies", async () => {
  const { server, client } = await beginLive();
  const first = client.call("device", "get_single", { id: 1 });
  const second = client.call("device", "get_single", { id: 2 });
  const [one, two] = server.calls.slice(-2);
  server.answer(FAN, { call: two });
  server.answer(LAMP, { call: one });
  assert.deepEqual(await first, LAMP);
  assert.deepEqual(await second, FAN);
});

test("a refused call rejects with the code, the message and the fields", async () => {
  const { server, client } = await beginLive();
  const call = client.call("device", "update", { id: 1, name: "" });
  server.refuse("invalid", { data: { name: ["This field cannot be blank."] } });
  await assert.rejects(call, { name: "RealtimeError", code: "invalid", temporary: false, data: { name: ["This field cannot be blank."] } });
});

test("the server's own word on whether it is temporary counts", async () => {
  const { server, client } = await beginLive();
  const call = client.call("device", "get_list");
  server.answer(null, { context: { state: "error", error: { code: "brand_new", message: "", temporary: true } } });
  await assert.rejects(call, { code: "brand_new", temporary: true });
});

test("login_required is a refusal although it is a state of its own", async () => {
  const { server, client } = await beginLive();
  const call = client.call("device", "get_list");
  server.answer(null, { context: { state: "login_required" } });
  await assert.rejects(call, { code: "login_required" });
});

test("a call without an answer rejects after its time", async () => {
  const { server, client } = await beginLive({ timeout: 3_000 });
  const call = client.call("device", "get_list");
  server.clock.advance(3_000);
  await assert.rejects(call, { code: "timed_out", temporary: true });
});

test("a cut rejects waiting calls and never sends them again", async () => {
  const { server, client } = await beginLive();
  const call = client.call("device", "update", { id: 1, desired: { on: true } });
  server.close();
  await assert.rejects(call, { code: "disconnected", temporary: true });
  await comeBack(server);
  assert.deepEqual(server.calls.map((one) => one.verb), ["whoami"]);
});

test("without a connection a call is refused at once", async () => {
  const { server, client } = await beginLive();
  server.close();
  await assert.rejects(client.call("device", "get_list"), { code: "disconnected" });
});

test("a call made while connecting waits for the connection, and its first word is who we are", async () => {
  const { server, client } = begin();
  const call = client.call("device", "get_list");
  server.accept();
  await server.answerIdentity(OPERATOR);
  assert.deepEqual(server.calls.map((one) => one.verb), ["whoami", "get_list"]);
  server.answer([LAMP]);
  assert.deepEqual(await call, [LAMP]);
});

test("closing rejects what waits", async () => {
  const { server, client } = await beginLive();
  const call = client.call("device", "get_list");
  client.close();
  await assert.rejects(call, { code: "closed" });
  assert.equal(client.status.name, "closed");
  assert.equal(server.clock.waiting, 0);
});

// Live collections

test("a collection shows its snapshot and then follows the changes", async () => {
  const { server, client } = await beginLive();
  const { seen } = watch(client.collection("device", { location: 3 }));
  await settle();
  assert.equal(server.last.verb, "subscribe");
  assert.deepEqual(server.last.args.subscriptions, [{ route: "device", channel: "s1", location: 3, _snapshot: true }]);
  server.snapshot([LAMP], { channel: "device|location:3" });
  server.say({ type: "change", action: "created", channel: "device|location:3", data: FAN, offset: 11 });
  server.say({ type: "change", action: "deleted", channel: "device|location:3", data: { id: 1, _type: "device" }, offset: 12, gone: true });
  assert.deepEqual(seen, [
    { ids: [], state: "loading", action: null },
    { ids: [1], state: "live", action: "snapshot" },
    { ids: [1, 2], state: "live", action: "created" },
    { ids: [2], state: "live", action: "deleted" },
  ]);
});

test("a reply to a call never enters a collection", async () => {
  const { server, client } = await beginLive();
  const { seen } = watch(client.collection("device"));
  await settle();
  server.snapshot([LAMP]);
  const call = client.call("device", "update", { id: 1, desired: { on: true } });
  server.answer({ ...LAMP, on: true });
  await call;
  assert.equal(seen.length, 2);
  assert.equal(client.collection("device").get(1)?.on, false);
});

test("what is subscribed in one turn is one call", async () => {
  const { server, client } = await beginLive();
  watch(client.collection("device"));
  watch(client.collection("location"));
  client.channel("news").subscribe(() => {});
  await settle();
  assert.deepEqual(server.calls.map((one) => one.verb), ["whoami", "subscribe"]);
  assert.deepEqual(server.last.args.subscriptions.map((/** @type {any} */ one) => [one.route, one._snapshot]), [["device", true], ["location", true], ["news", undefined]]);
});

test("the same route and arguments are one subscription, however many listen", async () => {
  const { server, client } = await beginLive();
  const first = watch(client.collection("device", { a: 1, b: 2 }));
  const second = watch(client.collection("device", { b: 2, a: 1 }));
  await settle();
  assert.equal(server.last.args.subscriptions.length, 1);
  server.snapshot([LAMP]);
  first.undo();
  first.undo();
  await settle();
  assert.equal(server.last.verb, "subscribe");
  second.undo();
  assert.deepEqual([server.last.verb, server.last.args], ["unsubscribe", { channel: "s1" }]);
  server.say({ type: "change", action: "created", channel: "device|", data: FAN, offset: 11 });
  assert.deepEqual(second.seen.at(-1), { ids: [1], state: "live", action: "snapshot" });
});

test("after a cut everything continues where it was, in one call", async () => {
  const { server, client } = await beginLive();
  const devices = watch(client.collection("device"));
  watch(client.collection("location"));
  await settle();
  server.snapshot([LAMP], { entry: 0, channel: "device|" });
  server.snapshot([], { entry: 1, channel: "location|", position: ["e1", 4] });
  server.say({ type: "change", action: "updated", channel: "device|", data: { ...LAMP, on: true }, offset: 15 });
  server.say({ type: "heartbeat", heartbeat: "1", position: { "location|": ["e1", 9] } });
  server.close();
  assert.equal(devices.seen.at(-1)?.state, "stale");
  await comeBack(server);
  assert.deepEqual(server.calls.map((one) => one.verb), ["whoami", "subscribe"]);
  assert.deepEqual(server.last.args.subscriptions.map((/** @type {any} */ one) => one._since), [
    { "device|": ["e1", 15] },
    { "location|": ["e1", 9] },
  ]);
  assert.equal(devices.seen.at(-1)?.state, "catching_up");
  server.answer([], { context: { recovered: true, position: { "device|": ["e1", 20] } }, channelData: { local_channel: "s1", remote_channels: ["device|"] } });
  assert.deepEqual(devices.seen.at(-1), { ids: [1], state: "live", action: null });
});

test("what another subscription gets on the new connection does not move the position of one that still waits", async () => {
  const { server, client } = await beginLive();
  watch(client.collection("device"));
  watch(client.collection("device", { again: 1 }));
  await settle();
  server.snapshot([LAMP], { entry: 0 });
  server.snapshot([LAMP], { entry: 1 });
  server.close();
  await comeBack(server);
  server.answer([], { context: { recovered: true }, channelData: { local_channel: "s2", remote_channels: ["device|"] } });
  server.say({ type: "change", action: "created", channel: "device|", data: FAN, offset: 30 });
  server.close();
  await comeBack(server);
  assert.deepEqual(server.last.args.subscriptions.map((/** @type {any} */ one) => one._since["device|"][1]), [10, 30]);
});

test("the head told with a recovery is not where we are: a second cut still asks for what was missed", async () => {
  const { server, client } = await beginLive();
  watch(client.collection("device"));
  await settle();
  server.snapshot([LAMP], { position: ["e1", 10] });
  server.close();
  await comeBack(server);
  server.answer([], { context: { recovered: true, position: { "device|": ["e1", 20] } }, channelData: { local_channel: "s1", remote_channels: ["device|"] } });
  server.say({ type: "change", action: "created", channel: "device|", data: FAN, offset: 12 });
  server.close();
  await comeBack(server);
  assert.deepEqual(server.last.args.subscriptions[0]._since, { "device|": ["e1", 12] });
});

test("when the server cannot continue, the old objects stay until the new snapshot is whole", async () => {
  const { server, client } = await beginLive();
  const { seen } = watch(client.collection("device"));
  await settle();
  server.snapshot([LAMP]);
  server.close();
  await comeBack(server);
  const asked = server.last;
  server.snapshot([FAN], { call: asked, position: ["e2", 3], part: 1, more: true });
  assert.deepEqual(seen.at(-1), { ids: [1], state: "catching_up", action: null });
  server.snapshot([{ ...FAN, id: 3 }], { call: asked, position: ["e2", 3], part: 2 });
  assert.deepEqual(seen.at(-1), { ids: [2, 3], state: "live", action: "snapshot" });
});

test("a resync takes a new snapshot under the same name and does not claim a position", async () => {
  const { server, client } = await beginLive();
  const { seen } = watch(client.collection("device"));
  await settle();
  server.snapshot([LAMP]);
  server.say({ type: "resync", channel: "device|", position: { "device|": ["e2", 1] } });
  await settle();
  assert.deepEqual(server.last.args.subscriptions, [{ route: "device", channel: "s1", _snapshot: true }]);
  assert.equal(seen.at(-1)?.state, "catching_up");
  assert.equal(client.status.name, "catching_up");
  server.snapshot([FAN], { position: ["e2", 5] });
  assert.deepEqual(seen.at(-1), { ids: [2], state: "live", action: "snapshot" });
  assert.equal(client.status.name, "live");
});

test("a snapshot without a position gets it from a later heartbeat", async () => {
  const { server, client } = await beginLive();
  watch(client.collection("device"));
  await settle();
  server.answer([LAMP], { channelData: { local_channel: "s1", remote_channels: ["device|"], action: "subscribe" } });
  server.say({ type: "heartbeat", heartbeat: "1", position: { "device|": ["e1", 40], "other|": ["e1", 3] } });
  server.close();
  await comeBack(server);
  assert.deepEqual(server.last.args.subscriptions[0]._since, { "device|": ["e1", 40] });
});

test("between a resync and its snapshot a heartbeat brings no position", async () => {
  const { server, client } = await beginLive();
  watch(client.collection("device"));
  await settle();
  server.snapshot([LAMP]);
  server.say({ type: "resync", channel: "device|", position: {} });
  await settle();
  server.say({ type: "heartbeat", heartbeat: "1", position: { "device|": ["e2", 40] } });
  server.close();
  await comeBack(server);
  assert.equal(server.last.args.subscriptions[0]._since, undefined);
});

test("parts of an answer that was overtaken by a resync are ignored", async () => {
  const { server, client } = await beginLive();
  const { seen } = watch(client.collection("device"));
  await settle();
  const asked = server.last;
  server.snapshot([LAMP], { call: asked, more: true });
  server.say({ type: "resync", channel: "device|", position: {} });
  await settle();
  const again = server.last;
  server.snapshot([LAMP], { call: asked, part: 2 });
  assert.equal(seen.at(-1)?.state, "loading");
  server.snapshot([FAN], { call: again });
  assert.deepEqual(seen.at(-1)?.ids, [2]);
});

test("a refusal for good empties the collection and says why", async () => {
  const { server, client } = await beginLive();
  const collection = client.collection("device");
  const { seen } = watch(collection);
  await settle();
  server.snapshot([LAMP]);
  server.say({ type: "resync", channel: "device|", position: {} });
  await settle();
  server.refuse("not_allowed", { channelData: { local_channel: "s1", remote_channels: [], action: "subscribe" } });
  assert.deepEqual(seen.at(-1), { ids: [], state: "failed", action: "emptied" });
  assert.equal(collection.error?.code, "not_allowed");
});

test("a refusal for now is asked again later", async () => {
  const { server, client } = await beginLive();
  const { seen } = watch(client.collection("device"));
  await settle();
  server.refuse("unavailable", { channelData: { local_channel: "s1", remote_channels: [] } });
  const before = server.calls.length;
  server.clock.advance(1_000);
  await settle();
  assert.equal(server.calls.length, before + 1);
  server.snapshot([LAMP]);
  assert.equal(seen.at(-1)?.state, "live");
});

test("a list the server cannot read fails all of its entries", async () => {
  const { server, client } = await beginLive();
  const one = client.collection("device");
  const two = client.collection("location");
  watch(one);
  watch(two);
  await settle();
  server.refuse("bad_args");
  assert.deepEqual([one.state, two.state], ["failed", "failed"]);
});

test("a subscribe whose answer never comes is asked again, a long snapshot is waited for", async () => {
  const { server, client } = await beginLive();
  watch(client.collection("device"));
  await settle();
  const asked = server.last;
  for (let second = 0; second < 40; second += 5) {
    server.clock.advance(5_000);
    server.snapshot([{ id: second, _type: "device" }], { call: asked, part: second / 5 + 1, more: true });
  }
  assert.equal(server.last.callbackname, asked.callbackname);
  for (let second = 0; second < 45; second += 5) {
    server.say({ type: "heartbeat", heartbeat: "1" });
    server.clock.advance(5_000);
  }
  await settle();
  assert.notEqual(server.last.callbackname, asked.callbackname);
  assert.equal(server.last.verb, "subscribe");
});

test("many subscriptions travel in calls the server accepts", async () => {
  const { server, client } = await beginLive();
  for (let number = 0; number < 200; number += 1) {
    watch(client.collection("status", { device: number, note: "x".repeat(200) }));
  }
  await settle();
  const subscribes = server.calls.filter((call) => call.verb === "subscribe");
  assert.ok(subscribes.length > 1);
  assert.equal(subscribes.flatMap((call) => call.args.subscriptions).length, 200);
  for (const text of server.socket.sent) assert.ok(text.length < 64 * 1024);
});

test("another person finds every store empty and takes whole snapshots", async () => {
  const { server, client } = await beginLive();
  const { seen } = watch(client.collection("device"));
  await settle();
  server.snapshot([LAMP]);
  server.close();
  await comeBack(server, { user: { id: 2, username: "viewer" } });
  assert.ok(seen.some((one) => one.state === "loading" && one.ids.length === 0 && one.action === "emptied"));
  assert.equal(server.last.args.subscriptions[0]._since, undefined);
});

test("messages of a data channel reach its listeners and nobody else", async () => {
  const { server, client } = await beginLive();
  /** @type {any[]} */
  const heard = [];
  const undo = client.channel("news", { room: 1 }).subscribe((data, channel) => heard.push([channel, data]));
  watch(client.collection("device"));
  await settle();
  server.answer("subscribed", { channelData: { local_channel: "s1", remote_channels: ["news-1"], action: "subscribe" } });
  server.say({ type: "data", channel: "news-1", data: { hello: "world" } });
  server.say({ type: "data", channel: "news-2", data: { hello: "others" } });
  undo();
  server.say({ type: "data", channel: "news-1", data: { hello: "nobody" } });
  assert.deepEqual(heard, [["news-1", { hello: "world" }]]);
});

// Coming back

test("tries again for ever, at random moments within a growing limit of 15 s", () => {
  const { server } = begin();
  const limits = [500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000];
  for (const [count, limit] of limits.entries()) {
    server.close();
    server.clock.advance(limit - 1);
    assert.equal(server.sockets.length, count + 1);
    server.clock.advance(1);
    assert.equal(server.sockets.length, count + 2);
  }
  server.chance = 0.5;
  server.close();
  server.clock.advance(7_500);
  assert.equal(server.sockets.length, limits.length + 2);
});

test("a connection that held begins the limits anew, one that is thrown out at once does not", async () => {
  const { server } = await beginLive();
  server.clock.advance(5_000);
  server.close();
  for (const limit of [500, 1_000, 2_000]) {
    server.clock.advance(limit);
    server.accept();
    await server.answerIdentity(OPERATOR);
    server.close(4008);
  }
  server.clock.advance(3_999);
  assert.equal(server.sockets.length, 4);
});

test("comes back at once when somebody looks or the network returns", async () => {
  for (const event of /** @type {const} */ (["show", "online"])) {
    const { server } = await beginLive();
    server.close();
    server.page[event]();
    assert.equal(server.sockets.length, 2);
  }
});

test("does not try while nobody looks", async () => {
  const { server, client } = await beginLive();
  server.page.hide();
  server.close();
  server.clock.advance(60_000);
  assert.equal(server.sockets.length, 1);
  assert.deepEqual([client.status.name, client.status.nextTry], ["offline", null]);
  server.page.show();
  assert.equal(server.sockets.length, 2);
});

for (const code of [1001, 1006, 4008, 4010, 4029]) {
  test(`comes back after ${code}`, async () => {
    const { server } = await beginLive();
    server.close(code);
    server.clock.advance(500);
    assert.equal(server.sockets.length, 2);
  });
}

for (const code of [4003, 4009]) {
  test(`stays away after ${code}`, async () => {
    const { server, client } = await beginLive();
    server.close(code);
    server.clock.advance(600_000);
    server.page.online();
    assert.equal(server.sockets.length, 1);
    assert.deepEqual([client.status.name, client.status.code], ["closed", code]);
    await assert.rejects(client.call("device", "get_list"), { code: "closed" });
  });
}

test("after 4001 the cookie is tried once more, then we are signed out", async () => {
  const { server, client } = await beginLive();
  server.close(4001);
  server.clock.advance(0);
  assert.equal(server.sockets.length, 2);
  server.accept();
  server.close(4001);
  server.clock.advance(600_000);
  assert.equal(server.sockets.length, 2);
  assert.equal(client.status.name, "signed_out");
  await assert.rejects(client.call("device", "get_list"), { code: "signed_out" });
});

test("who is signed out sees nothing of what was shown", async () => {
  const { server, client } = await beginLive();
  const { seen } = watch(client.collection("device"));
  await settle();
  server.snapshot([LAMP]);
  server.close(4001);
  assert.deepEqual(seen.at(-1), { ids: [1], state: "stale", action: null });
  server.clock.advance(0);
  server.close(4001);
  assert.deepEqual(seen.at(-1), { ids: [], state: "loading", action: "emptied" });
});

test("a new cookie lets the second try in, and a later 4001 has its own", async () => {
  const { server, client } = await beginLive();
  for (const count of [2, 3]) {
    server.close(4001);
    server.clock.advance(0);
    assert.equal(server.sockets.length, count);
    server.accept();
    await server.answerIdentity(OPERATOR);
    assert.equal(client.status.name, "live");
  }
});

test("a page that is looked at again after signing out tries once", async () => {
  const { server, client } = await beginLive();
  server.close(4001);
  server.clock.advance(0);
  server.close(4001);
  server.page.show();
  assert.equal(server.sockets.length, 3);
  server.close(4001);
  server.clock.advance(600_000);
  assert.deepEqual([server.sockets.length, client.status.name], [3, "signed_out"]);
});

test("a token is the first word, asked anew for each connection, and never in the address", async () => {
  let count = 0;
  const { server } = begin({ getToken: () => `token-${(count += 1)}` });
  for (const token of ["token-1", "token-2"]) {
    server.accept();
    await settle();
    assert.deepEqual([server.last.verb, server.last.route, server.last.args], ["login", "session", { token }]);
    assert.ok(!server.socket.url.includes("token"));
    server.answer(OPERATOR);
    await server.answerIdentity(OPERATOR);
    server.close();
    server.clock.advance(500);
  }
});

test("a refused token is tried once more, then we are signed out", async () => {
  const { server, client } = begin({ token: "wrong" });
  for (const expected of ["offline", "signed_out"]) {
    server.accept();
    await settle();
    server.refuse("not_allowed");
    await settle();
    assert.equal(client.status.name, expected);
    server.clock.advance(0);
  }
});

test("a frame that makes no sense ends the connection, for what follows cannot be trusted", async () => {
  /** @type {Error[]} */
  const errors = [];
  const { server } = await beginLive({ onError: (error) => errors.push(error) });
  server.say("nonsense");
  assert.equal(server.socket.closedWith, 1002);
  assert.equal(errors.length, 1);
  server.clock.advance(500);
  assert.equal(server.sockets.length, 2);
});

// Alive

test("a silent server is noticed after two heartbeats, said, and asked again", async () => {
  const { server, client } = await beginLive();
  server.clock.advance(10_000);
  assert.equal(client.status.name, "live");
  server.clock.advance(1_500);
  assert.equal(client.status.name, "catching_up");
  assert.equal(server.sockets.length, 2);
  server.close();
  assert.equal(client.status.name, "offline");
});

test("any frame proves that the server lives", async () => {
  const { server, client } = await beginLive();
  for (let count = 0; count < 10; count += 1) {
    server.clock.advance(9_000);
    server.say({ type: "data", channel: "nobody", data: 1 });
  }
  assert.deepEqual([server.sockets.length, client.status.name], [1, "live"]);
});

test("a page nobody looks at waits for its slower heartbeats", async () => {
  const { server } = await beginLive();
  server.page.hide();
  server.clock.advance(50_000);
  assert.equal(server.sockets.length, 1);
});

test("a handshake that hangs is given up", () => {
  const { server } = begin();
  server.clock.advance(10_500);
  assert.equal(server.sockets.length, 2);
});

test("after sleep the socket is asked whether it lives, and not believed for long", async () => {
  const { server } = await beginLive();
  server.page.hide();
  server.clock.advance(20_000);
  server.page.show();
  assert.equal(server.beats, 1);
  server.clock.advance(4_000);
  assert.equal(server.sockets.length, 2);
});

test("the server is told whether anybody looks", async () => {
  const { server } = await beginLive();
  server.page.hide();
  assert.deepEqual([server.last.verb, server.last.args], ["visible", { visible: false }]);
  server.page.show();
  assert.deepEqual(server.last.args, { visible: true });
  server.page.hide();
  server.close();
  server.page.online();
  server.accept();
  await server.answerIdentity(OPERATOR);
  assert.deepEqual([server.last.verb, server.last.args], ["visible", { visible: false }]);
});

test("the round trip is measured by our own heartbeat", async () => {
  const { server, client } = await beginLive();
  server.say({ type: "heartbeat", heartbeat: "1" });
  assert.equal(server.beats, 1);
  server.clock.advance(24);
  server.say({ type: "heartbeat", heartbeat: "1" });
  assert.equal(client.status.roundTrip, 24);
  assert.equal(server.beats, 1);
});

test("the server's time is known", async () => {
  const { server, client } = begin();
  server.accept();
  await settle();
  server.clock.advance(100);
  server.answer(OPERATOR);
  await settle();
  assert.equal(client.now(), Date.parse(OPERATOR.time) + 50);
});

// Status

test("the status tells the whole way", async () => {
  const { server, client } = begin();
  /** @type {string[]} */
  const names = [];
  client.onStatus(({ name }) => {
    if (names.at(-1) !== name) names.push(name);
  });
  watch(client.collection("device"));
  server.accept();
  await server.answerIdentity(OPERATOR);
  server.snapshot([LAMP]);
  server.close();
  const { nextTry } = client.status;
  assert.equal(nextTry, server.clock.now() + 500);
  await comeBack(server);
  server.answer([], { context: { recovered: true }, channelData: { local_channel: "s1", remote_channels: ["device|"] } });
  assert.deepEqual(names, ["connecting", "catching_up", "live", "offline", "catching_up", "live"]);
});

test("what is opened later does not make the rest of the screen untrue", async () => {
  const { client } = await beginLive();
  /** @type {string[]} */
  const names = [];
  client.onStatus(({ name }) => names.push(name));
  watch(client.collection("device"));
  await settle();
  assert.deepEqual(new Set(names), new Set(["live"]));
});

test("an undone status listener hears nothing more", async () => {
  const { server, client } = await beginLive();
  let heard = 0;
  const undo = client.onStatus(() => (heard += 1));
  undo();
  server.close();
  assert.equal(heard, 1);
});
