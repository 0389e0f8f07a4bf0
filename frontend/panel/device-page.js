/**
 * One device: its controls, what it is, every value as reported and as wished, and what happened.
 */

import { LitElement, html, nothing } from "lit";

import "./chart.js";
import { dial } from "./dial.js";
import { face, mainKey, seenWords, time, words } from "./device.js";
import { icon } from "./icon.js";
import { log } from "./log.js";
import { toggle } from "./switch.js";
import { everySecond } from "./ticker.js";
import { clockTime, counted, lapse, title } from "./words.js";

/**
 * @typedef {import("./device.js").Device} Device
 * @typedef {import("./device.js").Face} Face
 * @typedef {import("./live.js").Live} Live
 */

export class DevicePage extends LitElement {
  static properties = {
    live: { attribute: false },
    deviceId: { attribute: false },
    device: { attribute: false },
    admin: { attribute: false },
    fresh: { attribute: false },
    barrier: { attribute: false },
  };

  constructor() {
    super();
    /** @type {Live} */
    this.live = /** @type {any} */ (undefined);
    this.deviceId = 0;
    /** @type {Device | undefined} */
    this.device = undefined;
    /** @type {string | null} */
    this.admin = null;
    this.fresh = false;
    /** @type {string | null} */
    this.barrier = null;
    /** @type {(() => void)[]} */
    this._undo = [];
    /** @type {Map<any, any>} */
    this._commands = new Map();
    /** @type {Map<any, any>} */
    this._statuses = new Map();
    /** @type {Map<any, any>} */
    this._readings = new Map();
    /** @type {import("./history.js").Point[] | null} drawn from what was last heard; null: to be made anew */
    this._points = null;
    this._followed = "";
    /** @type {import("../subscription.js").State} */
    this._logState = "loading";
  }

  createRenderRoot() {
    return this;
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    this._leave();
  }

  /** @param {Map<string, unknown>} changed */
  willUpdate(changed) {
    const key = mainKey(this.device?.schema ?? {}) ?? "";
    if (!changed.has("deviceId") && this._followed === key && this._undo.length > 0) return;
    this._leave();
    this._followed = key;
    const { client } = this.live;
    const args = { device: this.deviceId };
    this._undo = [
      everySecond(() => this.requestUpdate(), true),
      client.collection("command", args).subscribe((items, state) => {
        this._commands = items;
        this._logState = state;
        this.requestUpdate();
      }),
      client.collection("status", args).subscribe((items) => {
        this._statuses = items;
        this._points = null;
        this.requestUpdate();
      }),
    ];
    if (this.device?.schema?.[key]?.kind === "number") {
      this._undo.push(
        client.collection("attribute", { ...args, name: key }).subscribe((items) => {
          this._readings = items;
          this._points = null;
          this.requestUpdate();
        }),
      );
    }
  }

  _leave() {
    for (const undo of this._undo) undo();
    this._undo = [];
    this._points = null;
    this._readings = new Map();
  }

  render() {
    const { device, live } = this;
    if (!device) return this._missing();
    const now = live.now();
    const shown = face(device, { now, barrier: this.barrier, viewOnly: live.viewOnly(device), asking: live.asking(device.id) });
    return html`
      <div class="headrow">
        <nav class="crumbs" aria-label="Breadcrumb">
          <a href="/" data-link>Devices</a>${icon("right")}
          ${device.location == null ? nothing : html`<a href="/?place=${device.location}" data-link>${device.location_name}</a>${icon("right")}`}
        </nav>
        <h1>${device.name}</h1>
        ${this._presence(shown, now)}
        <span class="space"></span>
        ${this.admin ? html`<a class="button" href="${this.admin}devices/device/${device.id}/change/">Edit in the admin ${icon("outward")}</a>` : nothing}
      </div>
      <div class="detail">
        <div class="column">${this._control(shown, now)} ${this._about(shown, now)}</div>
        <div class="column">${this._chart()} ${this._values(shown)} ${log(this._commands, this._statuses, device, { now, state: this._logState })}</div>
      </div>
    `;
  }

  _missing() {
    if (this.live.state === "loading") return html`<p class="sr" role="status">Loading the device</p>`;
    return html`<div class="notice">${icon("search")}<h2>This device is not here</h2><p>It does not exist, or it is not yours to see.</p><a class="button" href="/" data-link>All devices</a></div>`;
  }

  /**
   * @param {Face} shown
   * @param {number} now
   */
  _presence(shown, now) {
    const device = /** @type {Device} */ (this.device);
    const said = seenWords(shown, device, now);
    if (shown.state === "offline") return html`<span class="tag">${icon("offline")} Offline <span class="num">${said}</span></span>`;
    if (shown.state === "unknown") return html`<span class="tag">${said}</span>`;
    if (!this.fresh) return html`<span class="tag">Last value <span class="num">${said}</span></span>`;
    return html`<span class="tag good">${icon("online")} ${title(device.presence)} · <span class="num">${said}</span></span>`;
  }

  /**
   * @param {Face} shown
   * @param {number} now
   */
  _control(shown, now) {
    const device = /** @type {Device} */ (this.device);
    const wish = (/** @type {Record<string, any>} */ desired) => this._emit("marsh-wish", { device, desired });
    const more = { name: shown.name, state: shown.state, describedBy: "control-said", wish, refused: (/** @type {string} */ reason) => this._emit("marsh-say", reason) };
    const locked = shown.toggle?.locked ?? shown.slider?.locked;
    return html`<section class="box ${shown.state === "failed" ? "fail" : ""}" aria-labelledby="control-title">
      <header><h2 id="control-title">${shown.measures ? "Value" : "Control"}</h2><span class="space"></span>${shown.toggle ? toggle(shown.toggle, more) : nothing}</header>
      <div class="big">
        <p class="value ${shown.unit ? "" : "text"}">${shown.value}${shown.unit ? html`<small>${shown.unit}</small>` : nothing}</p>
        <p id="control-said">${this._said(shown, now)}</p>
      </div>
      ${shown.slider ? html`<div class="wide">${dial(shown.slider, { name: shown.name, wish })}<span class="scale num"><span>${shown.slider.schema.min}</span><span>${shown.slider.schema.max}</span></span></div>` : nothing}
      ${locked && !shown.measures ? html`<p class="locked">${icon("lock")} ${locked}</p>` : nothing}
    </section>`;
  }

  /**
   * @param {Face} shown
   * @param {number} now
   */
  _said(shown, now) {
    const device = /** @type {Device} */ (this.device);
    if (shown.state === "pending") {
      const by = device.pending?.by;
      return html`<span class="wish">${shown.doing}…</span><span class="quiet num">${by ? `asked by ${by}, ` : "asked "}${shown.pendingSince === null ? "now" : `${lapse(now - shown.pendingSince)} ago`}</span>`;
    }
    if (shown.state === "failed") {
      return html`<span class="state bad">${icon("warning")} ${shown.problem}</span>${shown.retry ? html`<button type="button" class="link bad" @click=${() => this._emit("marsh-retry", { device })}>Retry</button>` : nothing}`;
    }
    if (shown.state === "offline") return html`<span class="quiet">Last value, ${clockTime(shown.seen ?? now, now)}</span>`;
    return html`<span class="quiet num">reported ${seenWords(shown, device, now)}</span>`;
  }

  /**
   * @param {Face} shown
   * @param {number} now
   */
  _about(shown, now) {
    const device = /** @type {Device} */ (this.device);
    const at = (/** @type {string | null | undefined} */ text) => {
      const moment = time(text);
      return moment === null ? "never" : clockTime(moment, now, { seconds: true });
    };
    /** @type {[string, unknown][]} */
    const rows = [
      ["Kind", device.type_name || title(device.type)],
      ["Detail", device.detail],
      ["Location", device.location_name ?? "No location"],
      ["Last seen", at(device.last_seen)],
      ["Last report", at(device.reported_at)],
      ["Battery", shown.battery],
      ["Signal", device.reported?.signal == null ? null : `${device.reported.signal} dBm`],
      ["In use", device.enabled === false ? "no" : null],
      ["Device id", html`<code>${device.uid}</code>`],
    ];
    return html`<section class="box" aria-labelledby="about-title">
      <header><h2 id="about-title">About</h2></header>
      <dl>${rows.filter(([, value]) => value).map(([name, value]) => html`<dt>${name}</dt><dd class="num">${value}</dd>`)}</dl>
    </section>`;
  }

  _chart() {
    const device = /** @type {Device} */ (this.device);
    const key = mainKey(device.schema ?? {});
    if (key === undefined) return nothing;
    const schema = device.schema?.[key];
    const steps = key === "on";
    if (!steps && schema?.kind !== "number") return nothing;
    const rows = [...(steps ? this._statuses : this._readings).values()];
    this._points ??= rows
      .map((row) => /** @type {import("./history.js").Point} */ ([time(row.valid_at) ?? NaN, Number(steps ? row.is_on : row.value)]))
      .filter(([at, value]) => Number.isFinite(at) && Number.isFinite(value))
      .sort(([a], [b]) => a - b);
    const label = schema?.label ?? title(key);
    const count = rows.length;
    const last = this._points[this._points.length - 1];
    // A switch tells only its changes: until now it stands as it stood.
    if (steps && last && this.fresh && face(device, { now: 0, barrier: null, viewOnly: false }).state !== "offline") this._extend(last);
    return html`<section class="box" aria-labelledby="chart-title">
      <header><h2 id="chart-title">${label}</h2><p class="quiet">the newest ${counted(count, "value")}</p></header>
      ${this._points.length < 2 ? html`<p class="none">There is no history yet.</p>` : html`<marsh-chart .points=${this._points} .steps=${steps} .unit=${schema?.unit ?? ""} .label=${label}></marsh-chart>`}
    </section>`;
  }

  /** @param {import("./history.js").Point} last */
  _extend(last) {
    const now = this.live.now();
    // Drawn again each minute, not with every tenth of a second that this page counts.
    if (this._points && now - last[0] > 60_000) this._points = [...this._points, [now, last[1]]];
  }

  /** @param {Face} shown */
  _values(shown) {
    const device = /** @type {Device} */ (this.device);
    const schema = device.schema ?? {};
    const said = (/** @type {string} */ key, /** @type {any} */ value) => words(schema[key], value).filter(Boolean).join(" ");
    const open = { ...device.pending?.values, ...this.live.asking(device.id) };
    return html`<section class="box" aria-labelledby="values-title">
      <header><h2 id="values-title">Values</h2><p class="quiet">what it reports, and what it was asked for</p></header>
      <div class="scroll"><table>
        <thead><tr><th scope="col">Value</th><th scope="col">Reported</th><th scope="col">Wanted</th></tr></thead>
        <tbody>
          ${Object.keys(schema)
            .sort()
            .map((key) => {
              const waiting = key in open && shown.state !== "offline";
              const wanted = schema[key].writable ? said(key, open[key] ?? device.desired?.[key]) : "";
              return html`<tr><th scope="row">${schema[key].label ?? title(key)}</th><td class="num strong">${said(key, device.reported?.[key])}</td>
                <td class="num">${waiting ? html`<span class="wish">→ ${wanted}</span>` : html`<span class="quiet">${wanted}</span>`}</td></tr>`;
            })}
        </tbody>
      </table></div>
    </section>`;
  }

  /**
   * @param {string} name
   * @param {unknown} detail
   */
  _emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { bubbles: true, detail }));
  }
}

customElements.define("marsh-device", DevicePage);
