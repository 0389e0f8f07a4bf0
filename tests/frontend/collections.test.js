import assert from "node:assert/strict";
import test from "node:test";

import { settle } from "../../frontend/testing.js";
import { FAN, LAMP, beginLive, comeBack, watch } from "./begin.js";

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

test("a data channel goes on after a cut from the last message it was told", async () => {
  const { server, client } = await beginLive();
  /** @type {any[]} */
  const heard = [];
  client.channel("news").subscribe((data) => heard.push(data));
  await settle();
  const channelData = { local_channel: "s1", remote_channels: ["news"], action: "subscribe" };
  server.answer("subscribed", { context: { position: { news: ["e1", 3] } }, channelData });
  server.say({ type: "data", channel: "news", data: "four", offset: 4 });
  server.say({ type: "heartbeat", heartbeat: "1", position: { news: ["e1", 9] } });
  server.close();
  await comeBack(server);
  assert.deepEqual(server.last.args.subscriptions[0]._since, { news: ["e1", 9] });
  server.answer("subscribed", { context: { position: { news: ["e1", 11] }, recovered: true }, channelData });
  server.say({ type: "data", channel: "news", data: "ten", offset: 10 });
  server.close();
  await comeBack(server);
  assert.deepEqual(server.last.args.subscriptions[0]._since, { news: ["e1", 10] });
  assert.deepEqual(heard, ["four", "ten"]);
});

test("a data channel that cannot be continued begins where the server is", async () => {
  const { server, client } = await beginLive();
  client.channel("news").subscribe(() => {});
  await settle();
  const channelData = { local_channel: "s1", remote_channels: ["news"], action: "subscribe" };
  server.answer("subscribed", { context: { position: { news: ["e1", 3] } }, channelData });
  server.say({ type: "resync", channel: "news", position: { news: ["e2", 0] } });
  await settle();
  assert.equal(server.last.args.subscriptions[0]._since, undefined);
  server.answer("subscribed", { context: { position: { news: ["e2", 5] } }, channelData });
  server.close();
  await comeBack(server);
  assert.deepEqual(server.last.args.subscriptions[0]._since, { news: ["e2", 5] });
});
