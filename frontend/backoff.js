/**
 * When to try again: full jitter, so that a thousand pages that lost the same server do not come back in one moment.
 */

/** Long enough to be no storm when everybody's first try is now. */
export const FIRST_DELAY = 500;
/** A panel on the wall must be back soon after its network is. */
export const LONGEST_DELAY = 15_000;

export class Backoff {
  /**
   * @param {() => number} random in [0, 1)
   * @param {{first?: number, longest?: number}} [limits] milliseconds
   */
  constructor(random, { first = FIRST_DELAY, longest = LONGEST_DELAY } = {}) {
    this._random = random;
    this._first = first;
    this._longest = longest;
    this.attempts = 0;
  }

  /** @returns {number} milliseconds to wait before the next try: random in (0, ceiling) */
  next() {
    // 2 ** 1024 would be Infinity, and 0 * Infinity is NaN.
    const ceiling = Math.min(this._longest, this._first * 2 ** Math.min(this.attempts, 30));
    this.attempts += 1;
    return Math.round(this._random() * ceiling);
  }

  reset() {
    this.attempts = 0;
  }
}
