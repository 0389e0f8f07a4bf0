/**
 * The screen of all devices.
 */

import { html, nothing } from "lit";
import { repeat } from "lit/directives/repeat.js";

import "./card.js";
import { write } from "./address.js";
import { chosen, counts, groups } from "./grid.js";
import { icon } from "./icon.js";
import { counted } from "./words.js";

/**
 * @typedef {import("./grid.js").Filter} Filter
 * @typedef {import("./live.js").Live} Live
 */

/** @type {Record<import("./grid.js").Show, [word: string, dot: string]>} */
const CHIPS = {
  all: ["All", ""],
  on: ["On", "good"],
  pending: ["Pending", "warn"],
  attention: ["Need attention", "bad"],
};

/** @type {[RegExp, string][]} */
const PLACE_ICONS = [
  [/green|garden|plant|leaf|sprout/, "leaf"],
  [/work|garage|lab|tool|wrench/, "tools"],
  [/room|living|kitchen|office|home|sofa|bed/, "room"],
];

/**
 * @param {Live} live
 * @param {Filter} filter
 * @param {{admin: string | null}} options address of the admin, for those who may enter
 */
export function devicesScreen(live, filter, { admin }) {
  const all = [...live.devices.values()];
  const within = chosen(all, { ...filter, show: "all" });
  const shown = chosen(all, filter);
  return html`
    <div class="headrow">
      <h1>Devices</h1>
      <div class="chips" role="group" aria-label="Show">${chips(filter, counts(within))}</div>
      ${
        shown.length < all.length
          ? html`<p class="showing">Showing ${shown.length} of ${all.length} <a href="/" data-link>Clear filter</a></p>`
          : nothing
      }
    </div>
    ${live.state === "loading" ? waiting() : live.state === "failed" ? failed(live) : all.length === 0 ? empty(live, admin) : shown.length === 0 ? nothingFound(filter) : sections(live, groups(shown, live.places))}
  `;
}

/**
 * @param {Filter} filter
 * @param {Record<import("./grid.js").Show, number>} numbers
 */
function chips(filter, numbers) {
  return Object.entries(CHIPS).map(([name, [word, dot]]) => {
    const show = /** @type {import("./grid.js").Show} */ (name);
    const on = filter.show === show;
    return html`<a class="chip ${on ? "on" : ""}" href=${write({ ...filter, show })} data-link aria-current=${on ? "true" : nothing}>
      ${dot ? html`<i class="dot ${dot}"></i>` : nothing}<b class="num">${numbers[show]}</b> ${word}</a>`;
  });
}

/**
 * @param {Live} live
 * @param {import("./grid.js").Group[]} found
 */
function sections(live, found) {
  return repeat(
    found,
    (group) => group.key,
    (group) => html`<section aria-labelledby="place-${group.key}">
      <div class="place">
        <h2 id="place-${group.key}">${icon(placeIcon(live, group))}${group.name}</h2>
        <p class="facts num">${group.facts.map((fact) => html`<span>${fact}</span>`)}</p>
        <hr />
      </div>
      <div class="grid">
        ${repeat(
          group.devices,
          (device) => device.id,
          (device) => html`<marsh-card
            .device=${device}
            .fresh=${live.fresh}
            .barrier=${live.barrier}
            .viewOnly=${live.viewOnly(device)}
            .asking=${live.asking(device.id)}
            .mine=${live.mine(device.id)}
            .now=${() => live.now()}
            .history=${live.history}
          ></marsh-card>`,
        )}
      </div>
    </section>`,
  );
}

/**
 * @param {Live} live
 * @param {import("./grid.js").Group} group
 */
function placeIcon(live, group) {
  const place = [...live.places.values()].find((one) => String(one.id) === group.key);
  const words = `${place?.icon ?? ""} ${group.name}`.toLowerCase();
  return PLACE_ICONS.find(([pattern]) => pattern.test(words))?.[1] ?? "place";
}

function waiting() {
  return html`<p class="sr" role="status">Loading the devices</p>
    <div class="grid skeleton" aria-hidden="true">${Array.from({ length: 10 }, () => html`<div class="card"></div>`)}</div>`;
}

/** @param {Live} live */
function failed({ error, client }) {
  return html`<div class="notice bad">
    ${icon("warning")}
    <h2>The devices cannot be shown</h2>
    <p>${error?.code === "login_required" ? "You are not signed in." : error?.message || "The server refused."} <code>${error?.code}</code></p>
    ${
      error?.code === "login_required"
        ? html`<a class="button primary" href="/signin/">Sign in</a>`
        : html`<button type="button" class="button" @click=${() => (client.close(), client.connect())}>Try again</button>`
    }
  </div>`;
}

/**
 * @param {Live} live
 * @param {string | null} admin
 */
function empty(live, admin) {
  const none = live.places.size === 0 && !live.client.identity?.user?.is_staff;
  return html`<div class="notice">
    ${icon("chip")}
    <h2>${none ? "No location is yours yet" : "No devices yet"}</h2>
    <p>${none ? "Ask whoever runs this server to make you a member of a location." : "A card appears here the moment a device is added."}</p>
    ${admin ? html`<a class="button primary" href="${admin}devices/device/add/">Add a device in the admin ${icon("outward")}</a>` : nothing}
  </div>`;
}

/** @param {Filter} filter */
function nothingFound(filter) {
  const [word] = CHIPS[filter.show];
  const what = filter.text ? html`matches <b>“${filter.text}”</b>` : filter.show === "all" ? "is here yet" : html`is <b>${word.toLowerCase()}</b> now`;
  return html`<div class="notice">
    ${icon(filter.text ? "search" : "check")}
    <h2>Nothing to show</h2>
    <p>No device ${what}${filter.place === null ? "" : " in this location"}.</p>
    <a class="button" href="/" data-link>Show all devices</a>
  </div>`;
}

/** @param {Live} live */
export function summary(live) {
  return counted(live.devices.size, "device");
}
