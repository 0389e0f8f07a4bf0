/** Symbols of `icons.svg`, which lies beside this folder whatever the static files' address is. */

import { html } from "lit";

const SPRITE = new URL("../icons.svg", import.meta.url).pathname;

/** @param {string} name */
export function icon(name) {
  return html`<svg class="icon" aria-hidden="true"><use href="${SPRITE}#${name}"></use></svg>`;
}
