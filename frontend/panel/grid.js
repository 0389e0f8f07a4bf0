/**
 * Which devices are shown, in which order and group. Pure.
 */

import { needsAttention, stateOf, words } from "./device.js";
import { number } from "./words.js";

/**
 * @typedef {import("./device.js").Device} Device
 * @typedef {"all" | "on" | "pending" | "attention"} Show
 * @typedef {{show: Show, text: string, place: string | null}} Filter place: id of a location as text, "none" for those without
 * @typedef {{id: number | string, name: string, timezone?: string, icon?: string}} Place
 *
 * @typedef {object} Group
 * @property {string} key
 * @property {string} name
 * @property {Device[]} devices
 * @property {string[]} facts "5 devices", "2 on", "24.3 °C"
 */

/** @type {Record<Show, (device: Device) => boolean>} */
const SHOWS = {
  all: () => true,
  on: (device) => device.is_on === true && stateOf(device) !== "unknown",
  pending: (device) => Boolean(device.pending),
  attention: needsAttention,
};

/** @type {Show[]} */
export const SHOW_NAMES = ["all", "on", "pending", "attention"];

/**
 * @param {Iterable<Device>} devices
 * @returns {Record<Show, number>}
 */
export function counts(devices) {
  const found = { all: 0, on: 0, pending: 0, attention: 0 };
  for (const device of devices) for (const show of SHOW_NAMES) if (SHOWS[show](device)) found[show] += 1;
  return found;
}

/** @param {Device} device */
export function placeKey(device) {
  return device.location === null || device.location === undefined ? "none" : String(device.location);
}

/**
 * @param {Iterable<Device>} devices
 * @param {Filter} filter
 * @returns {Device[]} by name
 */
export function chosen(devices, { show, text, place }) {
  const terms = text.toLowerCase().split(/\s+/).filter(Boolean);
  const found = [...devices].filter(
    (device) => SHOWS[show](device) && (place === null || placeKey(device) === place) && terms.every((term) => haystack(device).includes(term)),
  );
  return found.sort(byName);
}

/**
 * @param {Device[]} devices
 * @param {Map<number | string, Place>} places
 * @returns {Group[]} by name, those without a location last: nothing that exists may be missing
 */
export function groups(devices, places) {
  /** @type {Map<string, Device[]>} */
  const byPlace = new Map();
  for (const device of devices) {
    const key = placeKey(device);
    const list = byPlace.get(key);
    if (list) list.push(device);
    else byPlace.set(key, [device]);
  }
  const found = [...byPlace].map(([key, members]) => ({ key, name: placeName(key, members[0], places), devices: members, facts: facts(members) }));
  return found.sort((a, b) => Number(a.key === "none") - Number(b.key === "none") || byName(a, b));
}

/**
 * The rail's list: every location, also those without a device.
 * @param {Device[]} devices
 * @param {Map<number | string, Place>} places
 * @returns {{key: string, name: string, count: number, tone: "" | "good" | "bad"}[]}
 */
export function rail(devices, places) {
  const found = new Map(groups(devices, places).map((group) => [group.key, group]));
  for (const place of places.values()) {
    const key = String(place.id);
    if (!found.has(key)) found.set(key, { key, name: place.name, devices: [], facts: [] });
  }
  return [...found.values()]
    .sort((a, b) => Number(a.key === "none") - Number(b.key === "none") || byName(a, b))
    .map(({ key, name, devices: members }) => ({ key, name, count: members.length, tone: tone(members) }));
}

/**
 * Red asks for something to be done; a device that is merely away does not.
 * @param {Device[]} devices
 * @returns {"" | "good" | "bad"}
 */
function tone(devices) {
  if (devices.some((device) => device.failed)) return "bad";
  const well = (/** @type {Device} */ device) => ["confirmed", "pending"].includes(stateOf(device));
  return devices.length > 0 && devices.every(well) ? "good" : "";
}

/**
 * @param {Device[]} devices
 * @returns {string[]}
 */
function facts(devices) {
  const on = devices.filter(SHOWS.on).length;
  const found = [`${devices.length} ${devices.length === 1 ? "device" : "devices"}`];
  if (on > 0) found.push(`${on} on`);
  const degrees = devices.filter((device) => device.presence !== "offline" && device.presence !== "lost").flatMap(temperatures);
  if (degrees.length > 0) found.push(`${number(degrees.reduce((sum, one) => sum + one, 0) / degrees.length)} °C`);
  return found;
}

/**
 * Measured temperatures, not the ones somebody wants.
 * @param {Device} device
 * @returns {number[]}
 */
function temperatures(device) {
  const keys = Object.entries(device.schema ?? {});
  return keys
    .filter(([, key]) => key.unit === "°C" && !key.writable)
    .map(([name]) => Number(device.reported?.[name] ?? NaN))
    .filter(Number.isFinite);
}

/**
 * @param {string} key
 * @param {Device} member
 * @param {Map<number | string, Place>} places
 */
function placeName(key, member, places) {
  if (key === "none") return "No location";
  return places.get(/** @type {number} */ (member.location))?.name ?? member.location_name ?? `Location ${key}`;
}

/** @param {Device} device */
function haystack(device) {
  const values = Object.entries(device.reported ?? {}).map(([key, value]) => `${key} ${words(device.schema?.[key], value)[0]}`);
  return [device.name, device.uid, device.type, device.type_name, device.detail, device.location_name, ...values].join(" ").toLowerCase();
}

const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

/**
 * @param {{name: string}} a
 * @param {{name: string}} b
 */
function byName(a, b) {
  return collator.compare(a.name, b.name);
}
