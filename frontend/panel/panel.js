/**
 * The shell: rail, header, the screen the address asks for, and what is common to all of them.
 */

import { LitElement, html, nothing } from "lit";

import "./device-page.js";
import "./pill.js";
import "./toast.js";
import { read, write } from "./address.js";
import { Announcer } from "./announcer.js";
import { devicesScreen, summary } from "./devices.js";
import { rail } from "./grid.js";
import { icon } from "./icon.js";
import { moveFocus } from "./keys.js";
import { Live } from "./live.js";
import { nextTheme, themeWish } from "./themes.js";

/**
 * @typedef {import("./address.js").Address} Address
 * @typedef {import("./toast.js").Toast} Toast
 */

export class Panel extends LitElement {
  constructor() {
    super();
    const { protocol, host } = location;
    this._live = new Live(`${protocol === "https:" ? "wss:" : "ws:"}//${host}${this.dataset.socket ?? "/ws"}`);
    /** @type {Address} */
    this._address = read(location);
    this._menu = false;
    /** @type {Announcer | null} */
    this._announcer = null;
    this._keys = (/** @type {KeyboardEvent} */ event) => this._key(event);
    this._moved = () => {
      this._address = read(location);
      this._menu = false;
      this.requestUpdate();
    };
  }

  createRenderRoot() {
    this.replaceChildren();
    return this;
  }

  connectedCallback() {
    super.connectedCallback();
    window.addEventListener("popstate", this._moved);
    document.addEventListener("keydown", this._keys);
    this.addEventListener("click", (event) => this._clicked(event));
    this.addEventListener("marsh-wish", (event) => {
      const { device, desired, isUndo } = /** @type {CustomEvent} */ (event).detail;
      void this._live.wish(device, desired, { isUndo });
    });
    this.addEventListener("marsh-retry", (event) => void this._live.retry(/** @type {CustomEvent} */ (event).detail.device));
    this.addEventListener("marsh-say", (event) => this._announcer?.say(/** @type {CustomEvent} */ (event).detail));
    this.addEventListener("marsh-seen", (event) => this._live.seed(/** @type {CustomEvent} */ (event).detail.device));
    this._live.addEventListener("change", () => this.requestUpdate());
    this._live.addEventListener("said", (event) => this._announcer?.say(/** @type {CustomEvent} */ (event).detail));
    this._live.addEventListener("told", (event) => this._toast?.show(/** @type {CustomEvent} */ (event).detail));
    this._live.start();
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    window.removeEventListener("popstate", this._moved);
    document.removeEventListener("keydown", this._keys);
  }

  /** A thousand changes between two pictures are drawn once. */
  async scheduleUpdate() {
    if (document.visibilityState !== "hidden") await new Promise((resolve) => requestAnimationFrame(resolve));
    super.scheduleUpdate();
  }

  firstUpdated() {
    const region = this.querySelector("#said");
    if (region instanceof HTMLElement) this._announcer = new Announcer(region);
  }

  /** @returns {Toast | null} */
  get _toast() {
    return this.querySelector("marsh-toast");
  }

  render() {
    const live = this._live;
    return html`
      <a class="skip" href="#main">Skip to the devices</a>
      <div class="app ${this._menu ? "menu-open" : ""}">
        ${this._rail()}
        <div class="scrim" @click=${() => this._openMenu(false)}></div>
        <div class="page">
          <header class="top">
            <button type="button" class="plain menu-button" aria-label="Menu" aria-expanded=${this._menu} aria-controls="rail" @click=${() => this._openMenu(true)}>${icon("menu")}</button>
            <div class="search" role="search">
              ${icon("search")}
              <input type="search" aria-label="Search devices" placeholder="Search ${summary(live)}" autocomplete="off" spellcheck="false"
                .value=${this._address.screen === "devices" ? this._address.filter.text : ""} @input=${this._search} @keydown=${this._searchKey} />
              <kbd aria-hidden="true">/</kbd>
            </div>
            <span class="space"></span>
            <marsh-pill .client=${live.client}></marsh-pill>
            ${this._themeButton()}
          </header>
          <marsh-bar .client=${live.client}></marsh-bar>
          <main id="main" tabindex="-1">${this._screen()}</main>
        </div>
      </div>
      <marsh-toast .current=${(/** @type {any} */ id) => live.devices.get(id)}></marsh-toast>
      <p id="said" class="sr" aria-live="polite"></p>
    `;
  }

  updated() {
    // The toast tells the state of a device as it is now, which is not a property of its own.
    this._toast?.requestUpdate();
  }

  _screen() {
    const address = this._address;
    if (this._live.client.status.name === "signed_out") {
      const next = encodeURIComponent(location.pathname + location.search);
      return html`<div class="notice">${icon("lock")}<h2>Signed out</h2><p>Nothing is shown until you sign in again.</p><a class="button primary" href="/signin/?next=${next}">Sign in</a></div>`;
    }
    if (address.screen === "devices") return devicesScreen(this._live, address.filter, { admin: this.dataset.admin ?? null });
    if (address.screen === "device") return html`<marsh-device .live=${this._live} .deviceId=${address.id} .device=${this._live.devices.get(address.id)} .admin=${this.dataset.admin ?? null} .fresh=${this._live.fresh} .barrier=${this._live.barrier}></marsh-device>`;
    return html`<div class="notice">${icon("search")}<h2>There is no such page</h2><a class="button" href="/" data-link>All devices</a></div>`;
  }

  _rail() {
    const live = this._live;
    const { admin, signout, csrf } = this.dataset;
    const filter = this._address.screen === "devices" ? this._address.filter : null;
    const places = rail([...live.devices.values()], live.places);
    const user = live.client.identity?.user;
    return html`<nav class="rail" id="rail" aria-label="Main">
      <a class="brand" href="/" data-link><span class="logo">${icon("marsh")}</span>Marshlight</a>
      <a class="nav ${filter && filter.place === null ? "on" : ""}" href="/" data-link aria-current=${filter && filter.place === null ? "page" : nothing}>
        ${icon("devices")}Devices<span class="count num">${live.devices.size}</span></a>
      ${
        places.length === 0
          ? nothing
          : html`<h2 class="rail-title">Locations</h2>
              ${places.map(
                ({ key, name, count, tone }) => html`<a class="nav sub ${filter?.place === key ? "on" : ""}" href=${write({ place: key })} data-link aria-current=${filter?.place === key ? "page" : nothing}>
                  <i class="dot ${tone}"></i>${name}<span class="sr">${tone === "bad" ? ", a command failed" : ""}</span><span class="count num">${count}</span></a>`,
              )}`
      }
      <div class="rail-foot">
        ${admin ? html`<a class="nav" href=${admin}>${icon("outward")}Admin</a>` : nothing}
        <form method="post" action=${signout ?? "/signout/"}>
          <input type="hidden" name="csrfmiddlewaretoken" .value=${csrf ?? ""} />
          <button class="nav" title="Sign out">${icon("signout")}<span class="who">${user?.name || user?.username || this.dataset.user || ""}<small>Sign out</small></span></button>
        </form>
      </div>
    </nav>`;
  }

  _themeButton() {
    const wish = themeWish();
    return html`<button type="button" class="plain" aria-label="Theme: ${wish}" title="Theme: ${wish}" @click=${() => (nextTheme(), this.requestUpdate())}>${icon(wish)}</button>`;
  }

  /** @param {boolean} open */
  _openMenu(open) {
    this._menu = open;
    this.requestUpdate();
    void this.updateComplete.then(() => {
      const target = this.querySelector(open ? ".rail .brand" : ".menu-button");
      if (target instanceof HTMLElement) target.focus();
    });
  }

  /** Links within the panel change the address, not the page. @param {MouseEvent} event */
  _clicked(event) {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = event.target instanceof Element ? event.target.closest("a[data-link]") : null;
    if (!(link instanceof HTMLAnchorElement)) return;
    event.preventDefault();
    history.pushState(null, "", link.href);
    this._moved();
    if (read(location).screen === "device") window.scrollTo(0, 0);
  }

  /** @param {InputEvent} event */
  _search(event) {
    const text = /** @type {HTMLInputElement} */ (event.target).value;
    const filter = this._address.screen === "devices" ? this._address.filter : {};
    // Each letter is no page of its own to go back to.
    history.replaceState(null, "", write({ ...filter, text }));
    this._moved();
  }

  /** @param {KeyboardEvent} event */
  _searchKey(event) {
    const input = /** @type {HTMLInputElement} */ (event.target);
    if (event.key === "Escape") {
      if (input.value === "") input.blur();
      else {
        input.value = "";
        input.dispatchEvent(new InputEvent("input", { bubbles: true }));
      }
    } else if (event.key === "ArrowDown" || event.key === "Enter") {
      event.preventDefault();
      /** @type {HTMLElement | null} */ (this.querySelector("marsh-card h3 a"))?.focus();
    }
  }

  /** @param {KeyboardEvent} event */
  _key(event) {
    if (event.metaKey || event.ctrlKey || event.altKey) return;
    if (event.key === "Escape" && this._menu) {
      this._openMenu(false);
      return;
    }
    const target = event.target instanceof Element ? event.target : null;
    if (target?.closest("input, select, textarea")) return;
    if (event.key === "/") {
      event.preventDefault();
      /** @type {HTMLInputElement | null} */ (this.querySelector(".search input"))?.select();
    } else {
      moveFocus(this, event);
    }
  }
}

customElements.define("marsh-panel", Panel);
