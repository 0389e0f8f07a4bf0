import assert from "node:assert/strict";
import test from "node:test";

import { FAN, LAMP, OPERATOR, begin, beginLive, comeBack } from "./begin.js";

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
