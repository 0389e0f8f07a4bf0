/**
 * What the client needs from where it runs: time, chance, and whether anybody is looking. Tests give their own.
 */

/**
 * @typedef {"visible" | "hidden" | "online"} PageEvent
 *
 * @typedef {object} Page
 * @property {() => boolean} visible
 * @property {(listener: (event: PageEvent) => void) => () => void} watch answers the undo
 *
 * @typedef {object} Clock
 * @property {() => number} now milliseconds since 1970
 * @property {(fn: () => void, delay: number) => unknown} setTimeout
 * @property {(timer: any) => void} clearTimeout
 *
 * @typedef {object} Surroundings
 * @property {Clock} clock
 * @property {() => number} random in [0, 1)
 * @property {Page} page
 */

/** @type {Clock} */
export const systemClock = {
  now: () => Date.now(),
  setTimeout: (fn, delay) => setTimeout(fn, delay),
  clearTimeout: (timer) => clearTimeout(timer),
};

/** @returns {Page} the browser's page, or outside of a browser one that is always looked at */
export function systemPage() {
  if (typeof document === "undefined" || typeof window === "undefined") {
    return { visible: () => true, watch: () => () => {} };
  }
  return {
    visible: () => document.visibilityState !== "hidden",
    watch(listener) {
      const looked = () => listener(document.visibilityState === "hidden" ? "hidden" : "visible");
      const online = () => listener("online");
      document.addEventListener("visibilitychange", looked);
      // A page that comes out of the back/forward cache was frozen: its timers and its socket did not notice.
      window.addEventListener("pageshow", looked);
      window.addEventListener("online", online);
      return () => {
        document.removeEventListener("visibilitychange", looked);
        window.removeEventListener("pageshow", looked);
        window.removeEventListener("online", online);
      };
    },
  };
}
