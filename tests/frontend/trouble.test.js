import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { settle } from "../../frontend/testing.js";
import { decode } from "../../frontend/wire.js";
import { pillWord, trouble } from "../../frontend/panel/trouble.js";
import { LAMP, OPERATOR, beginLive, comeBack, watch } from "./begin.js";

/** @type {{name: string, frame: any}[]} */
const GOLDEN = JSON.parse(readFileSync(new URL("../wire/health.json", import.meta.url), "utf-8")).frames;
/** @param {string} name */
const frame = (name) => GOLDEN.find((entry) => entry.name === name)?.frame;
/** @param {string} name */
const health = (name) => /** @type {import("../../frontend/wire.js").Health} */ (decode(JSON.stringify(frame(name))));
const NOW = Date.parse("2026-11-21T07:00:00+00:00");

/** @type {[string, [string, string] | null, string][]} */
const SAID = [
  ["all is well", null, ""],
  ["values may be old", ["warn", "Delayed"], "Changes are delayed since 06:20:11."],
  ["nothing can be saved", ["bad", "Not saving"], "Nothing can be saved since 06:20:11."],
  ["something cannot be shown", ["warn", "Incomplete"], "Something is missing here since 06:20:11."],
  ["broken parts", ["bad", "Not saving"], "Nothing can be saved since 06:20:11."],
];
test("every golden frame has its words", () => assert.deepEqual(SAID.map(([name]) => name), GOLDEN.map(({ name }) => name)));
for (const [name, pill, what] of SAID) {
  test(`${name}: the words`, () => {
    assert.deepEqual(pillWord(health(name)), pill);
    if (what) assert.equal(trouble(health(name), NOW, "UTC").what, what);
  });
}

test("what is old and what is true are told apart", () => {
  assert.match(trouble(health("nothing can be saved"), NOW).means, /^What you see is true/);
  assert.match(trouble(health("broken parts"), NOW).means, /^What you see is from then/);
  assert.match(trouble(health("values may be old"), NOW).means, /^What you see may be older/);
});

test("a viewer reads no names of parts, staff what to do", () => {
  assert.deepEqual(trouble(health("values may be old"), NOW).parts, []);
  assert.match(trouble(health("broken parts"), NOW, "UTC").parts[0], /^The database has not answered since 06:20:11\. See whether it runs/);
});

for (const part of ["bus", "database", "disk", "relay", "journal", "objects", "space", "something newer"]) {
  test(`${part} has words of its own`, () => {
    const [words] = trouble({ ...health("broken parts"), parts: [{ part, since: NOW }] }, NOW, "UTC").parts;
    assert.match(words, /since 07:00:00/);
  });
}

test("what only staff can notice leaves the pill alone", () => {
  const seen = { ...health("all is well"), parts: [{ part: "space", since: NOW }] };
  assert.equal(pillWord(seen), null);
  assert.equal(trouble(seen, NOW).tone, "calm");
});

test("the status is not live while the server is behind", async () => {
  const { server, client } = await beginLive();
  watch(client.collection("device"));
  await settle();
  server.snapshot([LAMP]);
  assert.equal(client.status.name, "live");
  server.say(frame("values may be old"));
  assert.equal(client.status.name, "behind");
  assert.equal(client.status.health?.since, Date.parse("2026-11-21T06:20:11+00:00"));
  server.say(frame("nothing can be saved"));
  assert.equal(client.status.name, "live");
  assert.equal(client.status.health?.saving, false);
  server.say(frame("all is well"));
  assert.deepEqual([client.status.name, client.status.health], ["live", null]);
});

test("what one server said is not believed of the next", async () => {
  const { server, client } = await beginLive();
  server.say(frame("values may be old"));
  server.close();
  assert.equal(client.status.health, null);
  await comeBack(server, OPERATOR);
  assert.equal(client.status.name, "live");
});

test("news of the health comes before the server says who we are", async () => {
  const { server, client } = await beginLive();
  server.close();
  server.page.online();
  server.accept();
  server.say(frame("values may be old"));
  await server.answerIdentity(OPERATOR);
  assert.equal(client.status.name, "behind");
});

test("what was refused is asked again when the server is well, not at the end of a long pause", async () => {
  const { server, client } = await beginLive();
  const { seen } = watch(client.collection("device"));
  await settle();
  server.say(frame("values may be old"));
  const pass = async (/** @type {number} */ milliseconds) => {
    for (let left = milliseconds; left > 0; left -= 500) {
      server.say({ type: "heartbeat", heartbeat: "1" });
      server.clock.advance(Math.min(500, left));
      await settle();
    }
  };
  const refusal = () => server.refuse("unavailable", { channelData: { local_channel: "s1", remote_channels: [] } });
  for (const pause of [1_000, 2_000, 4_000, 8_000]) {
    refusal();
    await pass(pause);
  }
  refusal();
  const asked = server.calls.length;
  server.say(frame("all is well"));
  server.clock.advance(999);
  await settle();
  assert.equal(server.calls.length, asked);
  server.clock.advance(1);
  await settle();
  assert.equal(server.calls.length, asked + 1);
  server.snapshot([LAMP]);
  assert.equal(seen.at(-1)?.state, "live");
  // The pause that it was to wait for is over without a second call.
  await pass(20_000);
  assert.equal(server.calls.length, asked + 1);
});
