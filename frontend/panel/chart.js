/**
 * The course of one value, drawn by uPlot. Live: it follows the collection of the device's readings.
 */

import { LitElement, html } from "lit";
import uPlot from "uplot";

import { table } from "./history.js";

const HEIGHT = 220;
/** @typedef {import("./history.js").Point} Point in milliseconds */

export class Chart extends LitElement {
  static properties = {
    points: { attribute: false },
    steps: { attribute: false },
    unit: { attribute: false },
    label: { attribute: false },
  };

  constructor() {
    super();
    /** @type {Point[]} oldest first */
    this.points = [];
    this.steps = false;
    this.unit = "";
    this.label = "";
    /** @type {uPlot | null} */
    this._plot = null;
    this._resized = new ResizeObserver(() => this._plot?.setSize({ width: this.clientWidth, height: HEIGHT }));
    this._themed = new MutationObserver(() => this._draw());
  }

  createRenderRoot() {
    return this;
  }

  connectedCallback() {
    super.connectedCallback();
    this._resized.observe(this);
    this._themed.observe(document.documentElement, { attributeFilter: ["data-theme"] });
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    this._resized.disconnect();
    this._themed.disconnect();
    this._plot?.destroy();
    this._plot = null;
  }

  render() {
    return html`<div class="plot" role="img" aria-label="${this.label}, ${this.points.length} values"></div>`;
  }

  /** @param {Map<string, unknown>} changed */
  updated(changed) {
    if (this._plot && !changed.has("unit") && !changed.has("steps") && !changed.has("label")) this._plot.setData(table(this.points, this.steps));
    else this._draw();
  }

  _draw() {
    const target = this.querySelector(".plot");
    if (!(target instanceof HTMLElement)) return;
    this._plot?.destroy();
    const style = getComputedStyle(document.documentElement);
    const colour = (/** @type {string} */ name) => style.getPropertyValue(`--${name}`).trim();
    const font = `12px ${getComputedStyle(document.body).fontFamily}`;
    const axis = { stroke: colour("ink-3"), font, grid: { stroke: colour("line"), width: 1 }, ticks: { show: false } };
    const unit = this.unit ? ` ${this.unit}` : "";
    this._plot = new uPlot(
      {
        width: this.clientWidth || 600,
        height: HEIGHT,
        cursor: { y: false, drag: { x: false, y: false }, points: { size: 8 } },
        legend: { live: true },
        scales: { y: this.steps ? { range: [-0.08, 1.08] } : {} },
        axes: [
          { ...axis, values: CLOCK },
          this.steps ? { ...axis, splits: [0, 1], values: ["Off", "On"], size: 46 } : { ...axis, size: 56 },
        ],
        series: [
          { label: "Time", value: "{DD}.{MM}. {HH}:{mm}:{ss}" },
          {
            label: this.label,
            stroke: colour(this.steps ? "accent" : "info"),
            fill: `color-mix(in srgb, ${colour(this.steps ? "accent" : "info")} 11%, transparent)`,
            width: 1.7,
            points: { show: false },
            ...(this.steps && { paths: uPlot.paths.stepped?.({ align: 1 }) }),
            value: (_plot, value) => (value == null ? "—" : this.steps ? (value ? "On" : "Off") : `${value}${unit}`),
          },
        ],
      },
      table(this.points, this.steps),
      target,
    );
  }
}

/** uPlot's own labels say 3:30pm. @type {uPlot.Axis.Values} */
const CLOCK = [
  [3600 * 24, "{DD}.{MM}.", null, null, null, null, null, null, 1],
  [3600, "{HH}:00", "\n{DD}.{MM}.", null, "\n{DD}.{MM}.", null, null, null, 1],
  [60, "{HH}:{mm}", "\n{DD}.{MM}.", null, "\n{DD}.{MM}.", null, null, null, 1],
  [1, "{HH}:{mm}:{ss}", "\n{DD}.{MM}.", null, "\n{DD}.{MM}.", null, null, null, 1],
];

customElements.define("marsh-chart", Chart);
