import assert from "node:assert/strict";
import test from "node:test";

import { settle } from "../../frontend/testing.js";
import { LAMP, OPERATOR, begin, beginLive, watch } from "./begin.js";

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
