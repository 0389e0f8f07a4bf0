import assert from "node:assert/strict";
import test from "node:test";

import { settle } from "../../frontend/testing.js";
import { LAMP, OPERATOR, begin, beginLive, comeBack, watch } from "./begin.js";

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
