/**
 * What came of one's own wish, with the way back.
 */

import { LitElement, html, nothing } from "lit";

import { face } from "./device.js";

/** Long enough to read it and change one's mind. */
const SHOWN = 7_000;

/**
 * @typedef {import("./device.js").Device} Device
 * @typedef {{device: Device, undo: Record<string, any> | null} | {text: string}} Matter
 *
 * Event: `marsh-wish` {device, desired} for Undo.
 */
export class Toast extends LitElement {
  static properties = { matter: { attribute: false }, current: { attribute: false } };

  constructor() {
    super();
    /** @type {Matter | null} */
    this.matter = null;
    /** @type {((id: Device["id"]) => Device | undefined)} the device as it is now */
    this.current = () => undefined;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this._timer = undefined;
  }

  createRenderRoot() {
    return this;
  }

  /** @param {Matter} matter */
  show(matter) {
    this.matter = matter;
    this._wait();
  }

  hide() {
    clearTimeout(this._timer);
    this.matter = null;
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    clearTimeout(this._timer);
  }

  render() {
    const { matter } = this;
    if (!matter) return nothing;
    const undo = "undo" in matter ? matter.undo : null;
    // Whoever is reading or about to press must not lose it under the pointer.
    return html`<div class="toast" @pointerenter=${() => clearTimeout(this._timer)} @pointerleave=${this._wait} @focusin=${() => clearTimeout(this._timer)} @focusout=${this._wait}>
      <span>${"text" in matter ? matter.text : this._words(matter.device)}</span>
      ${undo && "device" in matter ? html`<button type="button" @click=${() => this._undo(matter.device, undo)}>Undo</button>` : nothing}
    </div>`;
  }

  _wait() {
    clearTimeout(this._timer);
    this._timer = setTimeout(() => this.hide(), SHOWN);
  }

  /** The truth as it is now, not as it was wished. @param {Device} asked */
  _words(asked) {
    const device = this.current(asked.id) ?? asked;
    const shown = face(device, { now: 0, barrier: null, viewOnly: false });
    if (shown.state === "pending") return `${device.name}: ${shown.doing.toLowerCase()}…`;
    if (shown.state === "failed") return `${device.name}: ${shown.problem.toLowerCase()}`;
    return `${device.name} is ${shown.value.toLowerCase()}${shown.unit && ` ${shown.unit}`}`;
  }

  /**
   * @param {Device} device
   * @param {Record<string, any>} desired
   */
  _undo(device, desired) {
    this.hide();
    this.dispatchEvent(new CustomEvent("marsh-wish", { bubbles: true, detail: { device, desired, isUndo: true } }));
  }
}

customElements.define("marsh-toast", Toast);
