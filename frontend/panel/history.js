/**
 * The last values of each device, enough for the small line on its card.
 */

/** More than the line has pixels would only cost memory on a panel that stays open for weeks. */
const POINTS = 60;
/** A line over less time than this shows noise as if it were a course. */
const SHORTEST = 30_000;
/** A device that said nothing for so many times its usual pause was away: there the line has a gap. */
const GAP = 8;

/** @typedef {[time: number, value: number]} Point */

export class History {
  constructor() {
    /** @type {Map<number | string, Point[]>} */
    this._points = new Map();
  }

  /**
   * @param {number | string} id
   * @param {number} time
   * @param {any} value what is neither number nor boolean is not drawn
   */
  add(id, time, value) {
    const height = typeof value === "boolean" ? Number(value) : typeof value === "string" ? Number.parseFloat(value) : value;
    if (typeof height !== "number" || !Number.isFinite(height)) return;
    const points = this._points.get(id) ?? [];
    const last = points[points.length - 1];
    if (last && last[0] >= time) return;
    points.push([time, height]);
    if (points.length > POINTS) points.shift();
    this._points.set(id, points);
  }

  /** @param {number | string} id @param {Point[]} points oldest first; what was gathered since stays behind them */
  seed(id, points) {
    const own = this._points.get(id) ?? [];
    const first = own[0]?.[0] ?? Infinity;
    this._points.set(id, [...points.filter(([time]) => time < first), ...own].slice(-POINTS));
  }

  clear() {
    this._points.clear();
  }

  /** @param {number | string} id @returns {Point[]} */
  of(id) {
    return this._points.get(id) ?? [];
  }
}

/**
 * @param {Point[]} points
 * @param {number} now
 * @param {{width: number, height: number, steps: boolean, silent: boolean}} shape steps: on/off, which has nothing in
 *   between; silent: nobody knows whether the last value still holds
 * @returns {{line: string, area: string, tail: string} | null} SVG paths; null when there is no course to draw
 */
export function course(points, now, { width, height, steps, silent }) {
  if (points.length < 2) return null;
  const from = points[0][0];
  const until = Math.max(now, points[points.length - 1][0]);
  if (until - from < SHORTEST) return null;
  const values = points.map(([, value]) => value);
  const low = steps ? 0 : Math.min(...values);
  const high = steps ? 1 : Math.max(...values);
  const x = (/** @type {number} */ time) => (((time - from) / (until - from)) * width).toFixed(1);
  // A tenth of air above and below; a constant value is a line in the middle.
  const y = (/** @type {number} */ value) => (height * (0.9 - 0.8 * (high === low ? 0.5 : (value - low) / (high - low)))).toFixed(1);
  let line = `M${x(from)} ${y(values[0])}`;
  for (const [time, value] of points.slice(1)) line += steps ? `H${x(time)}V${y(value)}` : `L${x(time)} ${y(value)}`;
  const last = points[points.length - 1];
  const tail = silent ? `M${x(last[0])} ${y(last[1])}H${x(until)}` : "";
  if (!silent) line += `H${x(until)}`;
  return { line, area: `${line}V${height}H0Z`, tail };
}

/**
 * @param {Point[]} points
 * @param {boolean} steps on/off is told when it changes: silence there is no gap
 * @returns {[number[], (number | null)[]]} as uPlot wants it, seconds and values, null where nothing is known
 */
export function table(points, steps) {
  const pauses = points.slice(1).map(([time], index) => time - points[index][0]);
  const usual = [...pauses].sort((a, b) => a - b)[Math.floor(pauses.length / 2)] ?? Infinity;
  /** @type {[number[], (number | null)[]]} */
  const found = [[], []];
  points.forEach(([time, value], index) => {
    if (!steps && index > 0 && pauses[index - 1] > usual * GAP) {
      found[0].push((time + points[index - 1][0]) / 2_000);
      found[1].push(null);
    }
    found[0].push(time / 1_000);
    found[1].push(value);
  });
  return found;
}
