/**
 * Doubles for testing what is built on `client.js`: a server one writes line by line, a clock one turns, a page one looks
 * away from.
 *
 *     const server = new FakeServer();
 *     const client = connect({ url: "ws://test/ws", WebSocket: server.WebSocket, surroundings: server.surroundings });
 *     server.accept();                      // the socket opens
 *     server.answerIdentity({ user: null });
 *     server.last.args                      // what the client said last
 */

/** @typedef {{verb: string, route: string, args: Record<string, any>, callbackname: string | null}} Call */

export class FakeClock {
  /** @param {number} [start] */
  constructor(start = 1_000_000) {
    this._now = start;
    this._count = 0;
    /** @type {Map<number, {due: number, fn: () => void}>} */
    this._timers = new Map();
    this.now = () => this._now;
    this.setTimeout = (/** @type {() => void} */ fn, /** @type {number} */ delay) => {
      this._count += 1;
      this._timers.set(this._count, { due: this._now + Math.max(0, delay), fn });
      return this._count;
    };
    this.clearTimeout = (/** @type {any} */ timer) => void this._timers.delete(timer);
  }

  /** @returns {number} how many timers wait */
  get waiting() {
    return this._timers.size;
  }

  /**
   * Lets time pass; timers fire in the order they are due, also those that are set meanwhile.
   * @param {number} milliseconds
   */
  advance(milliseconds) {
    const until = this._now + milliseconds;
    for (;;) {
      const next = [...this._timers.entries()].sort(([a, x], [b, y]) => x.due - y.due || a - b)[0];
      if (!next || next[1].due > until) break;
      this._timers.delete(next[0]);
      this._now = next[1].due;
      next[1].fn();
    }
    this._now = until;
  }
}

export class FakePage {
  constructor() {
    this._visible = true;
    /** @type {Set<(event: import("./surroundings.js").PageEvent) => void>} */
    this._listeners = new Set();
    this.visible = () => this._visible;
    this.watch = (/** @type {(event: import("./surroundings.js").PageEvent) => void} */ listener) => {
      this._listeners.add(listener);
      return () => void this._listeners.delete(listener);
    };
  }

  hide() {
    this._visible = false;
    this._tell("hidden");
  }

  show() {
    this._visible = true;
    this._tell("visible");
  }

  online() {
    this._tell("online");
  }

  /** @param {import("./surroundings.js").PageEvent} event */
  _tell(event) {
    for (const listener of [...this._listeners]) listener(event);
  }
}

/** One end of a socket; the other end is the `FakeServer`. */
export class FakeSocket {
  /** @param {string} url */
  constructor(url) {
    this.url = url;
    this.readyState = 0;
    /** @type {string[]} */
    this.sent = [];
    /** @type {((event: any) => void) | null} */
    this.onopen = null;
    /** @type {((event: any) => void) | null} */
    this.onmessage = null;
    /** @type {((event: any) => void) | null} */
    this.onclose = null;
    /** @type {((event: any) => void) | null} */
    this.onerror = null;
    /** @type {number | null} what the client closed with */
    this.closedWith = null;
  }

  /** @param {string} text */
  send(text) {
    if (this.readyState === 0) throw new Error("The socket is still connecting.");
    // As in a browser: what is sent into a closed socket is lost without a word.
    if (this.readyState === 1) this.sent.push(text);
  }

  /** @param {number} [code] */
  close(code = 1005) {
    this.readyState = 3;
    this.closedWith ??= code;
  }
}

export class FakeServer {
  constructor() {
    this.clock = new FakeClock();
    this.page = new FakePage();
    /** What `random()` answers: 1 makes every delay the longest possible. */
    this.chance = 1;
    /** @type {FakeSocket[]} every socket the client made */
    this.sockets = [];
    const sockets = this.sockets;
    this.WebSocket = class extends FakeSocket {
      /** @param {string} url */
      constructor(url) {
        super(url);
        sockets.push(this);
      }
    };
    this.surroundings = { clock: this.clock, page: this.page, random: () => this.chance };
  }

  /** @returns {FakeSocket} the newest */
  get socket() {
    const socket = this.sockets[this.sockets.length - 1];
    if (!socket) throw new Error("The client made no socket.");
    return socket;
  }

  /** @returns {Call[]} all the client called on the newest socket, heartbeats left out */
  get calls() {
    return this.socket.sent.map((text) => JSON.parse(text)).filter((frame) => frame.verb);
  }

  /** @returns {Call} */
  get last() {
    const { calls } = this;
    if (calls.length === 0) throw new Error("The client said nothing.");
    return calls[calls.length - 1];
  }

  /** @returns {number} heartbeats of the client on the newest socket */
  get beats() {
    return this.socket.sent.filter((text) => JSON.parse(text).heartbeat).length;
  }

  accept() {
    this.socket.readyState = 1;
    this.socket.onopen?.({});
  }

  /** @param {object | string} frame */
  say(frame) {
    this.socket.onmessage?.({ data: typeof frame === "string" ? frame : JSON.stringify(frame) });
  }

  /**
   * The success of a call.
   * @param {unknown} data
   * @param {{call?: Call, context?: object, channelData?: object}} [more] default: of the last call
   */
  answer(data, { call = this.last, context = {}, channelData } = {}) {
    this.say({
      type: "reply",
      data,
      context: { client_callback_name: call.callbackname, verb: call.verb, state: "success", ...context },
      ...(channelData && { channel_data: channelData }),
    });
  }

  /**
   * @param {string} code
   * @param {{call?: Call, data?: unknown, channelData?: object, temporary?: boolean}} [more]
   */
  refuse(code, { call = this.last, data = null, channelData, temporary } = {}) {
    const error = { code, message: `refused: ${code}`, ...(temporary !== undefined && { temporary }) };
    this.answer(data, { call, context: { state: "error", error }, channelData });
  }

  /** Answers the `whoami` every connection begins with. @param {object} [identity] */
  async answerIdentity(identity = { user: { id: 1, username: "operator" } }) {
    await settle();
    if (this.last.verb !== "whoami") throw new Error(`The client did not ask who it is but ${this.last.verb}.`);
    this.answer(identity);
    await settle();
  }

  /**
   * The snapshot (or a part of it) of an entry of a subscribe call.
   * @param {object[]} objects
   * @param {{call?: Call, entry?: number, channel?: string, position?: [string, number], part?: number, more?: boolean}} [options]
   */
  snapshot(objects, { call = this.last, entry = 0, channel = "device|", position = ["e1", 10], part = 1, more = false } = {}) {
    this.answer(objects, {
      call,
      context: { position: { [channel]: position }, recovered: false, object_map: [], part, more },
      channelData: { local_channel: call.args.subscriptions[entry].channel, remote_channels: [channel], action: "subscribe" },
    });
  }

  /** @param {number} [code] */
  close(code = 1006) {
    this.socket.readyState = 3;
    this.socket.onclose?.({ code, reason: "" });
  }
}

/** Lets everything that waits for a promise go on. */
export async function settle() {
  for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
}
