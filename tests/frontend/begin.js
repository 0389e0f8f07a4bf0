/** How the client's tests begin. */

import { connect } from "../../frontend/client.js";
import { FakeServer } from "../../frontend/testing.js";

export const LAMP = { id: 1, _type: "device", name: "lamp", on: false };
export const FAN = { id: 2, _type: "device", name: "fan", on: false };
export const OPERATOR = { user: { id: 1, username: "operator" }, time: "2026-01-01T00:00:00+00:00" };

/** @param {Partial<import("../../frontend/client.js").Options>} [options] */
export function begin(options = {}) {
  const server = new FakeServer();
  const client = connect({ url: "ws://test/ws", WebSocket: server.WebSocket, surroundings: server.surroundings, ...options });
  return { server, client };
}

/** @param {Partial<import("../../frontend/client.js").Options>} [options] */
export async function beginLive(options) {
  const { server, client } = begin(options);
  server.accept();
  await server.answerIdentity(OPERATOR);
  return { server, client };
}

/**
 * @param {FakeServer} server
 * @param {object} [identity]
 */
export async function comeBack(server, identity = OPERATOR) {
  server.page.online();
  server.accept();
  await server.answerIdentity(identity);
}

/** @param {import("../../frontend/subscription.js").Collection} collection */
export function watch(collection) {
  /** @type {{ids: any[], state: string, action: string | null}[]} */
  const seen = [];
  const undo = collection.subscribe((items, state, change) => {
    seen.push({ ids: [...items.keys()], state, action: change?.action ?? null });
  });
  return { seen, undo };
}
