/**
 * What was asked of a device and what it did, newest first.
 */

import { html, nothing } from "lit";

import { time, words } from "./device.js";
import { icon } from "./icon.js";
import { clockTime, counted, lapse } from "./words.js";

/** A page is read from the top: more lines than this are for the admin. */
const LINES = 50;

/**
 * @typedef {import("./device.js").Device} Device
 * @typedef {{id: any, values: Record<string, any>, state: string, by: string, via: string, created_at: string, sent_at: string | null, ended_at: string | null, code: string, error: string}} Command
 * @typedef {{id: any, is_on: boolean, valid_at: string, source: string}} Status
 * @typedef {{at: number, key: string, icon: string, who: string, what: string, end: [tone: string, words: string] | null, note: string}} Line
 */

/** @type {Record<string, [tone: string, words: string]>} how a command stands */
const ENDS = {
  queued: ["warn", "waiting"],
  sent: ["warn", "sent"],
  acked: ["warn", "received"],
  done: ["good", "confirmed"],
  failed: ["bad", "failed"],
  expired: ["bad", "no answer"],
  cancelled: ["", "replaced"],
};

/**
 * @param {Map<any, any>} commands
 * @param {Map<any, any>} statuses
 * @param {Device} device
 * @returns {Line[]}
 */
export function lines(commands, statuses, device) {
  const schema = device.schema ?? {};
  const asked = [...commands.values()].map((/** @type {Command} */ command) => ({
    at: time(command.created_at) ?? 0,
    key: `c${command.id}`,
    icon: "outward",
    who: command.by || "Somebody",
    what: Object.entries(command.values ?? {})
      .map(([key, value]) => `${key === "on" ? "" : `${schema[key]?.label ?? key} `}→ ${words(schema[key], value).filter(Boolean).join(" ")}`)
      .join(", "),
    end: command.code === "refused" ? /** @type {[string, string]} */ (["bad", "refused"]) : ENDS[command.state] ?? null,
    note: [command.via, roundTrip(command), command.error].filter(Boolean).join(" · "),
  }));
  const said = [...statuses.values()].map((/** @type {Status} */ status) => ({
    at: time(status.valid_at) ?? 0,
    key: `s${status.id}`,
    icon: "chip",
    who: "Device",
    what: `is ${words(schema.on, status.is_on)[0].toLowerCase()}`,
    end: null,
    note: status.source ?? "",
  }));
  return [...asked, ...said].sort((a, b) => b.at - a.at).slice(0, LINES);
}

/**
 * @param {Map<any, any>} commands
 * @param {Map<any, any>} statuses
 * @param {Device} device
 * @param {{now: number, state: import("../subscription.js").State}} more
 */
export function log(commands, statuses, device, { now, state }) {
  const found = lines(commands, statuses, device);
  return html`<section class="box" aria-labelledby="log-title">
    <header><h2 id="log-title">History</h2><p class="quiet">${found.length === LINES ? `the newest ${LINES}` : counted(found.length, "line")}</p></header>
    ${
      found.length === 0
        ? html`<p class="none">${state === "loading" ? "Loading…" : state === "failed" ? "The history cannot be shown." : "Nothing has happened yet."}</p>`
        : html`<ol class="log">
            ${found.map(
              (line) => html`<li>
                <time class="num">${clockTime(line.at, now, { seconds: true })}</time>
                <span class="tile small">${icon(line.icon)}</span>
                <span class="what"><b>${line.who}</b> ${line.what}${line.note ? html`<small>${line.note}</small>` : nothing}</span>
                ${line.end ? html`<span class="tag ${line.end[0]}">${line.end[1]}</span>` : nothing}
              </li>`,
            )}
          </ol>`
    }
  </section>`;
}

/** @param {Command} command */
function roundTrip({ state, created_at, ended_at }) {
  const [from, until] = [time(created_at), time(ended_at)];
  if (state !== "done" || from === null || until === null) return "";
  return until - from < 1_000 ? `${Math.max(0, until - from)} ms` : lapse(until - from);
}
