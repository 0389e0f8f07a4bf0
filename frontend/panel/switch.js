/**
 * The switch. Its thumb stands at the wish, its colour and its word for screen readers at the truth.
 */

import { html } from "lit";

/**
 * @param {import("./device.js").Control} control
 * @param {{name: string, state: import("./device.js").State, describedBy: string, wish: (desired: Record<string, any>) => void, refused: (reason: string) => void}} more
 */
export function toggle(control, { name, state, describedBy, wish, refused }) {
  const { key, value, locked } = control;
  const target = control.wish ?? value;
  const pending = control.wish !== undefined;
  const tone = locked === "View only" ? "watch" : state === "failed" ? "fail" : pending ? "pend" : "";
  const press = () => (locked ? refused(locked) : wish({ [key]: target !== true }));
  return html`<button
    type="button"
    class="switch ${tone} ${target === true ? "right" : target === false ? "" : "middle"}"
    role="switch"
    aria-checked=${value === true ? "true" : "false"}
    aria-disabled=${locked ? "true" : "false"}
    aria-label=${name}
    aria-describedby=${describedBy}
    aria-busy=${pending ? "true" : "false"}
    title=${locked ?? ""}
    @click=${press}
  ></button>`;
}
