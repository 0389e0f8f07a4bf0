/**
 * What the address says about what is shown. Pure.
 *
 * `/?show=pending&q=fan&place=3` is the grid, `/device/17/` one device.
 */

import { SHOW_NAMES } from "./grid.js";

/**
 * @typedef {{screen: "devices", filter: import("./grid.js").Filter} | {screen: "device", id: number} | {screen: "missing"}} Address
 */

/**
 * @param {{pathname: string, search: string}} location
 * @returns {Address}
 */
export function read({ pathname, search }) {
  const device = /^\/device\/(\d+)\/$/.exec(pathname);
  if (device) return { screen: "device", id: Number(device[1]) };
  if (pathname !== "/") return { screen: "missing" };
  const words = new URLSearchParams(search);
  const show = SHOW_NAMES.find((name) => name === words.get("show")) ?? "all";
  return { screen: "devices", filter: { show, text: words.get("q") ?? "", place: words.get("place") } };
}

/**
 * @param {Partial<import("./grid.js").Filter>} filter
 * @returns {string} without what is usual
 */
export function write({ show = "all", text = "", place = null }) {
  const words = new URLSearchParams();
  if (show !== "all") words.set("show", show);
  if (place !== null) words.set("place", place);
  if (text) words.set("q", text);
  const search = words.toString();
  return search ? `/?${search}` : "/";
}
