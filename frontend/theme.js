/**
 * A classic script in the head: the theme must stand before the first paint, and modules come after it.
 */
(() => {
  let wish = null;
  try {
    wish = localStorage.getItem("theme");
  } catch {
    // Storage may be forbidden; the system's theme is a good answer then.
  }
  const root = document.documentElement;
  root.dataset.theme = wish === "light" || wish === "dark" ? wish : matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  root.dataset.themeWish = wish === "light" || wish === "dark" ? wish : "system";
})();
