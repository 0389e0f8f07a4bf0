/**
 * The keyboard on the grid: arrows go from card to card as they lie on the screen, Space switches.
 */

/** @typedef {import("./card.js").Card} Card */

/**
 * @param {HTMLElement} root
 * @param {KeyboardEvent} event
 */
export function moveFocus(root, event) {
  const card = /** @type {Card | null} */ (document.activeElement?.closest("marsh-card") ?? null);
  if (!card || !root.contains(card)) return;
  if (event.key === " " && document.activeElement?.matches("h3 a")) {
    event.preventDefault();
    card.press();
    return;
  }
  if (!["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End"].includes(event.key)) return;
  const cards = /** @type {HTMLElement[]} */ ([...root.querySelectorAll("marsh-card")]);
  const next = neighbour(cards, cards.indexOf(card), event.key);
  if (!next) return;
  event.preventDefault();
  /** @type {HTMLElement | null} */ (next.querySelector("h3 a"))?.focus();
}

/**
 * @param {HTMLElement[]} cards
 * @param {number} at
 * @param {string} key
 * @returns {HTMLElement | undefined}
 */
function neighbour(cards, at, key) {
  switch (key) {
    case "Home":
      return cards[0];
    case "End":
      return cards[cards.length - 1];
    case "ArrowLeft":
      return cards[at - 1];
    case "ArrowRight":
      return cards[at + 1];
    default:
      return vertical(cards, at, key === "ArrowDown" ? 1 : -1);
  }
}

/**
 * The nearest card in the next row, whichever group it is in.
 * @param {HTMLElement[]} cards
 * @param {number} at
 * @param {1 | -1} direction
 */
function vertical(cards, at, direction) {
  const { left, top } = cards[at].getBoundingClientRect();
  /** @type {HTMLElement | undefined} */
  let best;
  let bestTop = Infinity;
  let bestLeft = Infinity;
  for (const card of cards) {
    const box = card.getBoundingClientRect();
    const rows = (box.top - top) * direction;
    const aside = Math.abs(box.left - left);
    if (rows < 1 || rows > bestTop + 1) continue;
    if (rows < bestTop - 1 || aside < bestLeft) [best, bestTop, bestLeft] = [card, rows, aside];
  }
  return best;
}
