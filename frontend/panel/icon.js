/**
 * Symbols of `icons.svg`. They are taken into the page once: what is to be drawn when the server is away must be here
 * before.
 */

import { html } from "lit";

/** @param {string} name */
export function icon(name) {
  return html`<svg class="icon" aria-hidden="true"><use href="#icon-${name}"></use></svg>`;
}

async function load() {
  const answer = await fetch(new URL("../icons.svg", import.meta.url));
  const sprite = new DOMParser().parseFromString(await answer.text(), "image/svg+xml").documentElement;
  for (const symbol of sprite.querySelectorAll("symbol")) symbol.id = `icon-${symbol.id}`;
  sprite.setAttribute("class", "sr");
  sprite.setAttribute("aria-hidden", "true");
  document.body.append(document.importNode(sprite, true));
}

// Without icons every word is still there.
load().catch((error) => console.warn(error));
