/**
 * Light, dark, or as the system is. `theme.js` sets it before the first paint; here it changes.
 */

/** @typedef {"light" | "dark" | "system"} Wish */

/** @type {Wish[]} */
const WISHES = ["system", "light", "dark"];
const system = matchMedia("(prefers-color-scheme: dark)");

/** @returns {Wish} */
export function themeWish() {
  const wish = document.documentElement.dataset.themeWish;
  return WISHES.find((one) => one === wish) ?? "system";
}

export function nextTheme() {
  const wish = WISHES[(WISHES.indexOf(themeWish()) + 1) % WISHES.length];
  document.documentElement.dataset.themeWish = wish;
  try {
    if (wish === "system") localStorage.removeItem("theme");
    else localStorage.setItem("theme", wish);
  } catch {
    // Storage may be forbidden: the wish then lasts as long as the page.
  }
  apply();
}

function apply() {
  const wish = themeWish();
  document.documentElement.dataset.theme = wish === "system" ? (system.matches ? "dark" : "light") : wish;
}

system.addEventListener("change", apply);
