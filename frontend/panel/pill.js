/**
 * How the connection stands: the pill in the header, and the bar under it when something is wrong.
 */

import { LitElement, html, nothing } from "lit";

import { icon } from "./icon.js";
import { everySecond } from "./ticker.js";
import { pillWord, trouble } from "./trouble.js";
import { clockTime } from "./words.js";

/** A cut shorter than this needs no bar across the page: waking a phone would show one each time. */
const BLINK = 1_500;

/**
 * @typedef {import("../status.js").Report} Report
 * @typedef {import("../client.js").Client} Client
 */

/** @type {Record<Report["name"], [tone: string, word: string]>} */
const LOOKS = {
  connecting: ["calm", "Connecting"],
  live: ["good", "Live"],
  catching_up: ["calm", "Catching up"],
  behind: ["warn", "Delayed"],
  offline: ["warn", "Offline"],
  signed_out: ["bad", "Signed out"],
  closed: ["bad", "Disconnected"],
};

class Watcher extends LitElement {
  static properties = { client: { attribute: false } };

  constructor() {
    super();
    /** @type {Client | null} */
    this.client = null;
    /** @type {Report | null} */
    this._report = null;
    /** @type {(() => void)[]} */
    this._undo = [];
  }

  createRenderRoot() {
    return this;
  }

  /** @param {Map<string, unknown>} changed */
  willUpdate(changed) {
    if (!changed.has("client") || !this.client) return;
    this._undo.forEach((undo) => undo());
    this._undo = [
      this.client.onStatus((report) => {
        this._noticed(this._report, report);
        this._report = report;
        this.requestUpdate();
      }),
    ];
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    this._undo.forEach((undo) => undo());
    this._undo = [];
  }

  /**
   * @param {Report | null} before
   * @param {Report} report
   */
  _noticed(before, report) {
    void before;
    void report;
  }
}

export class Pill extends Watcher {
  render() {
    if (!this._report) return nothing;
    const { name, health, roundTrip } = this._report;
    const doubt = name === "live" || name === "behind" ? pillWord(health) : null;
    const [tone, word] = doubt ?? LOOKS[name];
    return html`<span class="pill ${tone}"><i class="pulse"></i>${word}${roundTrip === null || doubt ? nothing : html` <small class="num">${roundTrip} ms</small>`}</span>`;
  }
}

export class Bar extends Watcher {
  constructor() {
    super();
    this._since = 0;
    /** @type {(() => void) | null} */
    this._untick = null;
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    this._untick?.();
    this._untick = null;
  }

  /**
   * @param {Report | null} before
   * @param {Report} report
   */
  _noticed(before, report) {
    if (before?.name !== report.name) this._since = Date.now();
    const waiting = report.name === "offline";
    if (waiting && !this._untick) this._untick = everySecond(() => this.requestUpdate());
    if (!waiting) {
      this._untick?.();
      this._untick = null;
    }
  }

  render() {
    const report = this._report;
    return html`${this._connection(report)}<div role="status">${this._health(report)}</div>`;
  }

  /** @param {Report | null} report */
  _connection(report) {
    if (report?.name === "offline" && Date.now() - this._since >= BLINK) return this._offline(report);
    if (report?.name === "signed_out") {
      const next = encodeURIComponent(location.pathname + location.search);
      return html`<div class="bar bad">${icon("lock")}<p><b>You are signed out.</b> Nothing is shown until you sign in again.</p>
        <a class="button small" href="/signin/?next=${next}">Sign in</a></div>`;
    }
    if (report?.name === "closed") {
      const why = report.code === 4009 ? "There are too many connections of yours: close other pages first." : "The server refuses this page.";
      return html`<div class="bar bad">${icon("warning")}<p><b>Disconnected.</b> ${why}</p>
        <button type="button" class="button small" @click=${() => this.client?.connect()}>Try again</button></div>`;
    }
    return nothing;
  }

  /** @param {Report | null} report */
  _health(report) {
    // Without a connection nobody knows how the server is now, and the bar above says enough.
    if (!report?.health || !["live", "behind", "catching_up"].includes(report.name)) return nothing;
    const { tone, what, means, parts } = trouble(report.health, this.client?.now() ?? Date.now());
    return html`<div class="bar health ${tone}">${icon(tone === "calm" ? "tools" : "warning")}
      <div><p><b>${what}</b> ${means}</p>${parts.length === 0 ? nothing : html`<ul>${parts.map((part) => html`<li>${part}</li>`)}</ul>`}</div></div>`;
  }

  /** @param {Report} report */
  _offline({ nextTry, valuesFrom }) {
    const now = Date.now();
    const left = nextTry === null ? 0 : Math.ceil((nextTry - now) / 1_000);
    return html`<div class="bar warn">${icon("offline")}
      <p><b>Connection lost.</b> ${valuesFrom === null ? "There are no values yet." : html`Values are from <b class="num">${clockTime(valuesFrom, now, { seconds: true })}</b>.`}
      ${left > 0 ? html`Trying again in <b class="num">${left} s</b>.` : "Trying again now."}</p>
      <button type="button" class="button small" @click=${() => this.client?.retryNow()}>Retry now</button></div>`;
  }
}

customElements.define("marsh-pill", Pill);
customElements.define("marsh-bar", Bar);
