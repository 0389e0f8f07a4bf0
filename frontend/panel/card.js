/**
 * One device on the grid.
 */

import { LitElement, html, nothing, svg } from "lit";

import { face, seenWords } from "./device.js";
import { course } from "./history.js";
import { icon } from "./icon.js";
import { dial } from "./dial.js";
import { toggle } from "./switch.js";
import { everySecond } from "./ticker.js";
import { lapse } from "./words.js";

/** How long a card says that something just changed. */
const NEWS = 4_000;

/** Only cards somebody can see count seconds. */
const onScreen = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) /** @type {Card} */ (entry.target).seen(entry.isIntersecting);
  },
  { rootMargin: "200px" },
);

/**
 * @typedef {import("./device.js").Device} Device
 * @typedef {import("./device.js").Face} Face
 *
 * Events: `marsh-wish` {device, desired} and `marsh-retry` {device} when somebody wants something of the device,
 * `marsh-say` (text) for the announcer, `marsh-seen` {device} when it comes into view.
 */
export class Card extends LitElement {
  static properties = {
    device: { attribute: false },
    fresh: { attribute: false },
    barrier: { attribute: false },
    viewOnly: { attribute: false },
    asking: { attribute: false },
    mine: { attribute: false },
  };

  constructor() {
    super();
    /** @type {Device} */
    this.device = /** @type {any} */ (undefined);
    /** Whether what is shown is confirmed to be the truth. */
    this.fresh = false;
    /** @type {string | null} why no command makes sense now */
    this.barrier = null;
    this.viewOnly = false;
    /** @type {Record<string, any> | null} */
    this.asking = null;
    /** Whether the last wish was this page's own: then its toast tells, not the card. */
    this.mine = false;
    /** @type {() => number} the server's time */
    this.now = () => Date.now();
    /** @type {import("./history.js").History | null} */
    this.history = null;
    this._visible = false;
    this._news = "";
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this._newsTimer = undefined;
    /** @type {(() => void) | null} */
    this._untick = null;
    this._fast = false;
    this._words = "";
  }

  createRenderRoot() {
    return this;
  }

  connectedCallback() {
    super.connectedCallback();
    onScreen.observe(this);
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    onScreen.unobserve(this);
    clearTimeout(this._newsTimer);
    this.seen(false);
  }

  /** @param {boolean} visible */
  seen(visible) {
    this._visible = visible;
    this._wind();
    if (!visible) return;
    this.requestUpdate();
    this._emit("marsh-seen", { device: this.device });
  }

  /** The title's Space key. */
  press() {
    /** @type {HTMLElement | null} */ (this.querySelector(".switch"))?.click();
  }

  /** @returns {Face} */
  face() {
    const { barrier, viewOnly, asking } = this;
    return face(this.device, { now: this.now(), barrier, viewOnly, asking });
  }

  /** @param {Map<string, any>} changed */
  willUpdate(changed) {
    const before = /** @type {Device | undefined} */ (changed.get("device"));
    if (before && before.id === this.device.id && before.is_on !== this.device.is_on && this.device.is_on != null && !this.mine) {
      const by = before.pending && "on" in before.pending.values ? before.pending.by : "";
      this._news = `${by ? `${by} ` : ""}turned ${this.device.is_on ? "on" : "off"}${by ? "" : " just now"}`;
      clearTimeout(this._newsTimer);
      this._newsTimer = setTimeout(() => {
        this._news = "";
        this.requestUpdate();
      }, NEWS);
    }
  }

  render() {
    const { device } = this;
    const now = this.now();
    const shown = this.face();
    this._words = this._moving(shown, now);
    const tone = { confirmed: "", pending: "pend", failed: "fail", offline: "dead", unknown: "dim" }[shown.state];
    const label = `card-${device.id}`;
    return html`<article
      class="card ${tone} ${shown.on ? "on" : ""} ${shown.measures ? "sens" : ""} ${this._news ? "flash" : ""} ${this.fresh ? "" : "stale"}"
      aria-labelledby=${label}
    >
      ${this._news ? html`<span class="news">${this._news}</span>` : nothing}
      <div class="head">
        <span class="tile">${icon(shown.icon)}</span>
        <div class="title">
          <h3 id=${label}><a href="/device/${device.id}/" data-link>${shown.name}</a></h3>
          <p>${shown.detail}</p>
        </div>
      </div>
      <div class="middle">
        <p class="value ${shown.unit ? "" : "text"}">
          ${shown.value}${shown.unit ? html`<small>${shown.unit}</small>` : nothing}${
            shown.wish === null ? nothing : html`<span class="wish"><span class="sr">, asked for</span>→ ${shown.wish}</span>`
          }
        </p>
        ${shown.slider ? dial(shown.slider, { name: shown.name, wish: (desired) => this._wish(desired) }) : this._line(shown, now)}
      </div>
      <div class="foot">
        <span class="said" id="said-${device.id}">${this._said(shown)}</span>
        ${
          shown.battery === null || shown.toggle ? nothing : html`<span class="aside num">${icon("battery")}<span class="sr">Battery</span> ${shown.battery}</span>`
        }${
          shown.toggle
            ? toggle(shown.toggle, {
                name: shown.name,
                state: shown.state,
                describedBy: `said-${device.id}`,
                wish: (desired) => this._wish(desired),
                refused: (reason) => this._emit("marsh-say", `${shown.name}: ${reason}`),
              })
            : nothing
        }
      </div>
    </article>`;
  }

  updated() {
    this._wind();
  }

  /** @param {Face} shown */
  _said(shown) {
    const { asking } = this;
    if (shown.state === "pending") {
      const sent = asking && !this.device.pending;
      return html`<span class="state warn">${sent ? (this.fresh ? "Sending…" : "Asked, no news yet") : html`${shown.doing}… <span class="num">${this._words}</span>`}</span>`;
    }
    if (shown.state === "failed") {
      const { retry } = shown;
      return html`<span class="state bad">${icon("warning")}<span class="why" title=${shown.problem}>${shown.problem}</span>${
        retry ? html`<button type="button" class="link" @click=${() => this._emit("marsh-retry", { device: this.device })}>Retry<span class="sr"> ${shown.name}</span></button>` : nothing
      }</span>`;
    }
    if (shown.state === "offline") {
      return html`<span class="state">${icon("offline")} Offline <span class="num quiet">${this._words}</span></span>`;
    }
    const hollow = shown.state === "unknown" || !this.fresh;
    return html`<span class="age"><i class="dot ${hollow ? "hollow" : "good"}"></i><span class="num">${this._words}</span></span>${
      this.viewOnly && shown.toggle && shown.state === "confirmed" ? html`<span class="only">${icon("lock")} View only</span>` : nothing
    }`;
  }

  /**
   * @param {Face} shown
   * @param {number} now
   */
  _line(shown, now) {
    if (!this.history) return nothing;
    const steps = !shown.measures && shown.unit === "";
    const drawn = course(this.history.of(this.device.id), now, { width: 120, height: 38, steps, silent: shown.state === "offline" });
    if (!drawn) return nothing;
    return html`<svg class="line" viewBox="0 0 120 38" preserveAspectRatio="none" aria-hidden="true">
      ${svg`<path class="area" d=${drawn.area}></path><path class="stroke" d=${drawn.line}></path><path class="tail" d=${drawn.tail}></path>`}
    </svg>`;
  }

  /**
   * The words that change while nothing else does.
   * @param {Face} shown
   * @param {number} now
   */
  _moving(shown, now) {
    if (shown.state === "pending") return shown.pendingSince === null ? "" : lapse(now - shown.pendingSince);
    return seenWords(shown, this.device, now);
  }

  _wind() {
    const fast = Boolean(this.device?.pending);
    if (this._untick && (!this._visible || fast !== this._fast)) {
      this._untick();
      this._untick = null;
    }
    if (!this._visible || this._untick) return;
    this._fast = fast;
    this._untick = everySecond(() => {
      if (this._moving(this.face(), this.now()) !== this._words) this.requestUpdate();
    }, fast);
  }

  /** @param {Record<string, any>} desired */
  _wish(desired) {
    this._emit("marsh-wish", { device: this.device, desired });
  }

  /**
   * @param {string} name
   * @param {unknown} detail
   */
  _emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { bubbles: true, detail }));
  }
}

customElements.define("marsh-card", Card);
