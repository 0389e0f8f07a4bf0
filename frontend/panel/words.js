/**
 * Times and numbers as people read them. Pure.
 */

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/**
 * @param {number} milliseconds how long ago
 * @returns {string}
 */
export function age(milliseconds) {
  // A device whose clock is ahead of ours did not report in the future.
  if (milliseconds < 1.5 * SECOND) return "now";
  if (milliseconds < MINUTE) return `${Math.floor(milliseconds / SECOND)} s ago`;
  if (milliseconds < HOUR) return `${Math.floor(milliseconds / MINUTE)} min ago`;
  if (milliseconds < DAY) return `${Math.floor(milliseconds / HOUR)} h ago`;
  return `${Math.floor(milliseconds / DAY)} d ago`;
}

/**
 * @param {number} milliseconds
 * @returns {string} with tenths while they are what one looks at
 */
export function lapse(milliseconds) {
  const seconds = Math.max(0, milliseconds) / SECOND;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  return `${Math.floor(seconds / 60)} min`;
}

/**
 * @param {number} time
 * @param {number} now
 * @param {{seconds?: boolean, timeZone?: string}} [options]
 * @returns {string} "13:41", with the day when it is another one
 */
export function clockTime(time, now, { seconds = false, timeZone } = {}) {
  const clock = new Intl.DateTimeFormat("en-GB", {
    hour: "2-digit",
    minute: "2-digit",
    ...(seconds && { second: "2-digit" }),
    timeZone,
  }).format(time);
  const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", timeZone });
  if (day.format(time) === day.format(now)) return clock;
  return `${day.format(time)}, ${clock}`;
}

/**
 * @param {number} value
 * @param {number} [decimals]
 * @returns {string} without a wish as many digits as help: 0.42, 7.82, 24.3, 318
 */
export function number(value, decimals) {
  if (decimals !== undefined) return value.toFixed(decimals);
  const size = Math.abs(value);
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : 2;
  return String(Number(value.toFixed(digits)));
}

/**
 * @param {number} count
 * @param {string} one
 * @param {string} [many]
 */
export function counted(count, one, many = `${one}s`) {
  return `${count} ${count === 1 ? one : many}`;
}

/**
 * @param {string} slug
 * @returns {string} "drip-pump" → "Drip pump"
 */
export function title(slug) {
  const words = slug.replace(/[-_]+/g, " ").trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}
