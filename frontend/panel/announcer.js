/**
 * Says aloud what happened, for those who do not see it: one polite region, one line at a time.
 */

/** A screen reader that is interrupted every moment says nothing at all. */
const PAUSE = 2_000;
/** What is older than this many lines is no news any more. */
const KEPT = 3;

export class Announcer {
  /** @param {HTMLElement} region with `aria-live="polite"` */
  constructor(region) {
    this._region = region;
    /** @type {string[]} */
    this._lines = [];
    /** @type {ReturnType<typeof setTimeout> | null} */
    this._timer = null;
  }

  /** @param {string} line */
  say(line) {
    if (this._lines.includes(line)) return;
    this._lines.push(line);
    if (this._lines.length > KEPT) this._lines.shift();
    if (this._timer === null) this._next();
  }

  _next() {
    const line = this._lines.shift();
    if (line === undefined) {
      this._timer = null;
      return;
    }
    // The same text twice is no change, and would not be read.
    this._region.textContent = this._region.textContent === line ? `${line} ` : line;
    this._timer = setTimeout(() => this._next(), PAUSE);
  }
}
