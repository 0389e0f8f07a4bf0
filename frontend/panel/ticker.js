/**
 * One timer for everything on the page that shows how much time has passed.
 */

/** Ages are shown in seconds. */
const SLOW = 1_000;
/** What somebody waits for is shown in tenths. */
const FAST = 100;

/** @type {Map<() => void, boolean>} listener → whether it wants tenths */
const listeners = new Map();
/** @type {ReturnType<typeof setInterval> | null} */
let timer = null;
let pace = 0;

/**
 * @param {() => void} listener
 * @param {boolean} [fast]
 * @returns {() => void} the undo
 */
export function everySecond(listener, fast = false) {
  listeners.set(listener, fast);
  wind();
  return () => {
    listeners.delete(listener);
    wind();
  };
}

function wind() {
  const wanted = listeners.size === 0 ? 0 : [...listeners.values()].some(Boolean) ? FAST : SLOW;
  if (wanted === pace) return;
  if (timer !== null) clearInterval(timer);
  pace = wanted;
  timer = wanted === 0 ? null : setInterval(tick, wanted);
}

function tick() {
  if (document.visibilityState === "hidden") return;
  for (const listener of [...listeners.keys()]) listener();
}
