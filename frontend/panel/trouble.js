/**
 * What the server says is broken, in words for the one who looks: what it is and since when, what still works, what one
 * can do. Pure.
 */

import { clockTime } from "./words.js";

/**
 * @typedef {import("../wire.js").Health} Health
 * @typedef {object} Words
 * @property {"warn" | "bad" | "calm"} tone
 * @property {string} what
 * @property {string} means
 * @property {string[]} parts for those who may repair them, a sentence each
 */

/** @type {Record<string, (since: string) => string>} */
const PARTS = {
  bus: (since) => `Redis has not answered this server since ${since}. See whether it runs; nothing is lost, and servers come back to it by themselves.`,
  database: (since) => `The database has not answered since ${since}. See whether it runs and takes connections; servers come back to it by themselves.`,
  disk: (since) => `The database has refused to write since ${since}: its disk is full or read-only. Make room there.`,
  relay: (since) => `No relay has been at work since ${since}: what changes now is shown when one runs. Start a server, or “manage.py relay”.`,
  journal: (since) => `Changes have waited to be published since ${since}. If it lasts, see the log of the relay and start it anew.`,
  objects: (since) => `Some objects have been set aside since ${since}, as they cannot be published. The log of the relay says which and why.`,
  space: (since) => `The disk has been nearly full since ${since}. Make room before nothing can be saved.`,
};

/**
 * @param {Health} health
 * @param {number} now the server's time
 * @param {string} [timeZone]
 * @returns {Words}
 */
export function trouble(health, now, timeZone) {
  const at = (/** @type {number} */ time) => clockTime(time, now, { seconds: true, timeZone });
  const since = health.since === null ? "" : ` since ${at(health.since)}`;
  const parts = (health.parts ?? []).map(({ part, since: began }) => PARTS[part]?.(at(began)) ?? `Something is broken since ${at(began)}: ${part}.`);
  if (!health.saving && health.behind) {
    return { tone: "bad", what: `Nothing can be saved${since}.`, means: "What you see is from then. Switches work again by themselves when this is over.", parts };
  }
  if (!health.saving) {
    return { tone: "bad", what: `Nothing can be saved${since}.`, means: "What you see is true. Switches work again by themselves when this is over.", parts };
  }
  if (health.behind) {
    return { tone: "warn", what: `Changes are delayed${since}.`, means: "What you see may be older. You can switch; you will see what came of it when this is over.", parts };
  }
  if (!health.complete) {
    return { tone: "warn", what: `Something is missing here${since}.`, means: "It cannot be shown at the moment. Everything else is live.", parts };
  }
  return { tone: "calm", what: "For operators.", means: "What you see is true, and you can switch.", parts };
}

/**
 * The pill's word while the connection itself is fine; null: as always.
 * @param {Health | null} health
 * @returns {[tone: string, word: string] | null}
 */
export function pillWord(health) {
  if (health === null) return null;
  if (!health.saving) return ["bad", "Not saving"];
  if (health.behind) return ["warn", "Delayed"];
  return health.complete ? null : ["warn", "Incomplete"];
}
