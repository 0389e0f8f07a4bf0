/**
 * The slider: its thumb stands at the wish, the tick at what the device reported.
 */

import { html } from "lit";
import { Directive, directive } from "lit/directive.js";

/**
 * Custom properties through the object model: a policy without inline styles refuses the style attribute.
 */
class Properties extends Directive {
  /** @param {Record<string, string>} properties */
  render(properties) {
    void properties;
    return undefined;
  }

  /**
   * @param {any} part
   * @param {[Record<string, string>]} properties
   */
  update(part, [properties]) {
    for (const [name, value] of Object.entries(properties)) part.element.style.setProperty(name, value);
  }
}
const properties = directive(Properties);

/**
 * @param {import("./device.js").Control} control
 * @param {{name: string, wish: (desired: Record<string, any>) => void}} more
 */
export function dial(control, { name, wish }) {
  const { key, schema, locked } = control;
  const { min = 0, max = 100, step = 1 } = schema;
  const value = Number(control.value ?? min);
  const target = Number(control.wish ?? value);
  const percent = (/** @type {number} */ at) => `${(Math.min(1, Math.max(0, (at - min) / (max - min))) * 100).toFixed(1)}%`;
  const follow = (/** @type {Event} */ event) => {
    const input = /** @type {HTMLInputElement} */ (event.target);
    input.parentElement?.style.setProperty("--at", percent(input.valueAsNumber));
  };
  const release = (/** @type {Event} */ event) => wish({ [key]: /** @type {HTMLInputElement} */ (event.target).valueAsNumber });
  return html`<span class="dial ${control.wish === undefined ? "" : "pend"}" ${properties({ "--at": percent(target), "--true": percent(value) })}>
    <input
      type="range"
      aria-label="${name}, ${schema.label ?? key}"
      min=${min}
      max=${max}
      step=${step}
      .value=${String(target)}
      ?disabled=${locked !== null}
      title=${locked ?? ""}
      @input=${follow}
      @change=${release}
    />
    <i class="tick"></i>
  </span>`;
}
