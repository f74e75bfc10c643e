// malldrive.js: a client of the driver feed `malldrive.v1`. One module without imports, for browsers and for whatever has
// WebSocket and IndexedDB. PROTOCOL.md is the contract; what follows is how an app keeps its side of it.
//
//   const feed = new DriverFeed({ url, ticket, token, status, store: new FeedStore("driver 3"), onChange, onAnswer });
//   await feed.start();
//   await feed.command({ t: "availability", status: "online" });
//
//   url       of the feed: wss://HOST/api/v2/drivers/feed
//   ticket    async; a one-use ticket. It throws an error with `final: true` when only a person can help.
//   token     async; an access token that is newer than the last one.
//   status    async, optional; { status, state } of the driver. A resumed feed does not repeat them.
//   store     where position, orders and commands outlive the page.
//   onChange  called with the new state, which is never changed in place. Its members are those of `emptyState`.
//   onAnswer  called with a command's frame and its answer, also for commands of an earlier page.
//   onEntry   called with each new entry of the log, and with the order as it was carried before.
//
// A command is kept in the store under its key before it is sent, and repeated with that key until it is answered: so it
// has one effect, whatever happens to server, network and page. Position and orders are stored together, and only what
// is stored is confirmed: a page that is loaded again goes on where the stored state ends, without a gap.
export const PROTOCOL = "malldrive.v1";

// Bounds. What is beyond them is refused (commands) or left out (the oldest).
const COMMANDS_MAX = 32;
const OFFERS_MAX = 50;
const LOG_MAX = 200;
const BUFFERED_BYTES_MAX = 64 * 1024;
// Deadlines and pauses.
const TICK_MS = 1000;
const WELCOME_MS = 15_000;
const ANSWER_MS = 15_000;
const POSITION_MS = 3000;
const BACKOFF_MS = [500, 20_000];
// A connection that has lasted so long was a good one: the next try is not late.
const CALM_MS = 10_000;
const ACK_ENTRIES = 16;
// Commands that nobody wants any more after this time; all others are repeated for as long as the log is kept.
const LIVES_MS = { "offer.accept": 600_000, "offer.decline": 600_000, availability: 600_000 };
const LIFE_MS = 7 * 86_400_000;

export const emptyState = () => ({
  connection: "stopped", // connecting, live, waiting (for the next try), offline (no network), stopped
  closed: null, // code of the last close; 40xx means that a person must act
  retry_at_ms: null,
  durable: true, // false: the browser keeps nothing, so a reload loses commands
  skew_ms: 0, // the server's clock less ours
  epoch: null, seq: 0, zone_id: null,
  status: "offline", reach: null, capacity: 0,
  orders: {}, // carried, by order id
  offers: {}, // by offer id
  board: [], // open orders of an open zone
  queue: null, // place among those who wait at the stores, from 1
  log: [], // the last entries: { seq, type, at_ms, order_id }
  commands: [], // unanswered: { key, n, frame, made_ms, sent_ms }
});
const STORED = ["epoch", "seq", "zone_id", "status", "reach", "capacity", "orders", "offers", "log"];

const without = (map, name) => Object.fromEntries(Object.entries(map).filter(([key]) => key !== name));
const byId = (rows, name) => Object.fromEntries(rows.map((row) => [row[name], row]));
const offersBut = (offers, orderId) => Object.fromEntries(Object.entries(offers).filter(([, offer]) => offer.order_id !== orderId));
const newest = (rows, most) => rows.slice(-most);

// What a close code asks for, also one that this client does not know.
export function meaningOf(code) {
  if (code >= 4000 && code < 4100) return "stop";
  return code >= 4200 && code < 4300 ? "resume" : "back off";
}

// The state after one entry of the log. Entries come in order, each once.
export function withEntry(state, { seq, type, at_ms, data }) {
  const id = data.order_id;
  const next = { ...state, seq, log: newest([...state.log, { seq, type, at_ms, order_id: id }], LOG_MAX) };
  switch (type) {
    case "offer": {
      const offers = Object.entries({ ...offersBut(state.offers, id), [data.offer_id]: { ...data, came_ms: Date.now() } });
      return { ...next, offers: Object.fromEntries(newest(offers, OFFERS_MAX)) };
    }
    case "offer.ready_time":
      return { ...next, offers: Object.fromEntries(Object.entries(state.offers).map(([key, offer]) => [key, offer.order_id === id ? { ...offer, ...data } : offer])) };
    case "order.delivered": case "order.undeliverable": case "order.cancelled": case "order.released":
      return { ...next, orders: without(state.orders, id), offers: offersBut(state.offers, id) };
    case "order.ready_time":
      return id in state.orders ? { ...next, orders: { ...state.orders, [id]: data } } : next;
    default: // assigned, picked_up, returning, and what later versions add about a carried order
      return { ...next, orders: { ...state.orders, [id]: data }, offers: offersBut(state.offers, id) };
  }
}

// Position, orders and commands in IndexedDB. A browser may forbid that: then nothing outlives the page.
export class FeedStore {
  #database = null;
  constructor(name) { this.name = name; }

  async open() {
    this.#database = await new Promise((done, failed) => {
      const asked = indexedDB.open(this.name, 1);
      asked.onupgradeneeded = () => {
        asked.result.createObjectStore("state");
        asked.result.createObjectStore("commands", { keyPath: "key" });
      };
      asked.onsuccess = () => done(asked.result);
      asked.onerror = asked.onblocked = () => failed(asked.error);
    });
    this.#database.onversionchange = () => this.close();
    const [stored, commands] = await this.#run("readonly", (state, kept) => [state.get("state"), kept.getAll()]);
    return { stored, commands };
  }

  #run(mode, ask) {
    if (this.#database === null) return Promise.resolve([]);
    return new Promise((done, failed) => {
      const run = this.#database.transaction(["state", "commands"], mode, { durability: mode === "readonly" ? "default" : "strict" });
      const asked = ask(run.objectStore("state"), run.objectStore("commands"));
      run.oncomplete = () => done(asked.map((one) => one.result));
      run.onerror = run.onabort = () => failed(run.error);
    });
  }

  save(stored) { return this.#run("readwrite", (state) => [state.put(stored, "state")]); }
  keep(command) { return this.#run("readwrite", (_, kept) => [kept.put(command)]); }
  drop(key) { return this.#run("readwrite", (_, kept) => [kept.delete(key)]); }
  close() { this.#database?.close(); this.#database = null; }

  // Forget everything: on a shared phone the next driver must not read this one's doors.
  forget() { this.close(); indexedDB.deleteDatabase(this.name); }
}

export const freshKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

export class DriverFeed {
  #options; #store; #socket = null; #timer = null; #state = emptyState();
  #round = 0; // each attempt has a number; what belongs to an older one is ignored
  #tries = 0; #trying = false; #began = 0; #heard = 0; #fresh = false; #drainAt = 0;
  #acked = 0; #stored = 0; #saving = false; #unsaved = false;
  #frameId = 0; #asked = new Map(); #n = 0;
  #place = null; #placed = 0; #cseq = 0;
  #seen = new Set();
  #pingMs = 25_000;
  #wake = () => this.#awake();
  #lost = () => this.#retry("back off");

  constructor(options) {
    this.#options = { onChange() {}, onAnswer() {}, onEntry() {}, ...options };
    this.#store = options.store;
  }

  get state() { return this.#state; }

  // Milliseconds of the server's clock.
  now() { return Date.now() + this.#state.skew_ms; }

  async start() {
    this.stop();
    this.#state = emptyState();
    await this.#load();
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    globalThis.addEventListener?.("online", this.#wake);
    globalThis.addEventListener?.("offline", this.#lost);
    globalThis.document?.addEventListener("visibilitychange", this.#wake);
    void this.#connect();
  }

  stop() {
    clearInterval(this.#timer);
    globalThis.removeEventListener?.("online", this.#wake);
    globalThis.removeEventListener?.("offline", this.#lost);
    globalThis.document?.removeEventListener("visibilitychange", this.#wake);
    this.#abandon();
    this.#change({ connection: "stopped" });
  }

  // Keep a command, then send it as soon as there is a connection. Returns its key; throws when too many wait.
  async command(frame) {
    if (this.#state.commands.length >= COMMANDS_MAX) throw new Error("too_many_commands");
    const command = { key: freshKey(), n: ++this.#n, frame, made_ms: Date.now(), sent_ms: 0 };
    this.#change({ commands: [...this.#state.commands, command] });
    try { await this.#store.keep(command); } catch { this.#change({ durable: false }); }
    this.#put(command.key);
    return command.key;
  }

  // An offer is on the screen: dispatch asks somebody else sooner when nobody looks.
  seen(offerId) {
    if (this.#state.connection !== "live" || this.#seen.has(offerId)) return;
    if (this.#seen.size >= LOG_MAX) this.#seen.clear();
    this.#seen.add(offerId);
    this.#send({ t: "offer.seen", offer_id: offerId });
  }

  // A sign of life, for a driver who counts as unreachable.
  alive() { this.#send({ t: "ping" }); }

  // Where the driver is. Only the newest place waits, and none is sent more often than dispatch needs.
  report(place) {
    this.#place = place;
    this.#sendPlace();
  }

  // -- what is kept -------------------------------------------------------------------------

  async #load() {
    try {
      const { stored, commands } = await this.#store.open();
      const alive = commands.filter(({ frame, made_ms }) => Date.now() - made_ms < (LIVES_MS[frame.t] ?? LIFE_MS)).sort((a, b) => a.n - b.n);
      for (const { key } of commands) if (!alive.some((one) => one.key === key)) await this.#store.drop(key);
      this.#n = alive.at(-1)?.n ?? 0;
      this.#stored = this.#acked = stored?.seq ?? 0;
      this.#change({ ...stored, commands: alive.map((one) => ({ ...one, sent_ms: 0 })) });
    } catch {
      this.#change({ durable: false });
    }
  }

  // One write at a time; the newest state waits. What is written may be confirmed.
  async #save() {
    this.#unsaved = true;
    if (this.#saving) return;
    this.#saving = true;
    try {
      // Another page may have the feed by now: one that was stopped writes nothing.
      while (this.#unsaved && this.#state.connection !== "stopped") {
        this.#unsaved = false;
        const state = this.#state;
        await this.#store.save(Object.fromEntries(STORED.map((name) => [name, state[name]])));
        this.#stored = state.seq;
        if (this.#stored - this.#acked >= ACK_ENTRIES) this.#ack();
      }
    } catch {
      this.#change({ durable: false });
      this.#stored = this.#state.seq;
    } finally {
      this.#saving = false;
    }
  }

  #change(changes) {
    this.#state = { ...this.#state, ...changes };
    this.#options.onChange(this.#state);
  }

  // -- the connection -----------------------------------------------------------------------

  // A browser without a network says so, but a server on this very machine is there all the same: it is tried, too.
  #named(connection) { return globalThis.navigator?.onLine === false ? "offline" : connection; }

  async #connect() {
    const round = this.#abandon();
    this.#began = Date.now();
    this.#trying = true;
    this.#change({ connection: this.#named("connecting"), retry_at_ms: null });
    let ticket;
    try {
      ticket = await this.#options.ticket();
    } catch (problem) {
      if (round === this.#round) problem.final ? this.#end(4001) : this.#retry("back off");
      return;
    }
    if (round !== this.#round) return;
    const socket = this.#socket = new WebSocket(this.#options.url, PROTOCOL);
    socket.onopen = () => this.#send(this.#hello(ticket));
    socket.onmessage = ({ data }) => { if (round === this.#round) this.#hear(JSON.parse(data)); };
    socket.onclose = ({ code }) => { if (round === this.#round) this.#closed(code); };
  }

  #hello(ticket) {
    const { epoch, seq } = this.#state;
    const { device, appVersion: app_version } = this.#options;
    return { t: "hello", ticket, resume: epoch === null || this.#fresh ? undefined : { epoch, seq }, device, app_version };
  }

  // Let the present attempt go, without waiting for a close that may never come. Returns the number of the next one.
  #abandon() {
    this.#socket?.close(1000);
    this.#socket = null;
    this.#trying = false;
    this.#asked.clear();
    return ++this.#round;
  }

  #closed(code) {
    const meaning = meaningOf(code);
    this.#fresh = code === 4204;
    this.#change({ closed: code });
    if (meaning === "stop") this.#end(code);
    else this.#retry(meaning);
  }

  #end(code) {
    this.stop();
    this.#change({ closed: code });
  }

  // The next try: at once and resumed where the server asks for that, else after a random part of a growing time.
  #retry(meaning) {
    if (this.#state.connection === "live" && Date.now() - this.#began > CALM_MS) this.#tries = 0;
    this.#abandon();
    const [least, most] = BACKOFF_MS;
    const ceiling = meaning === "resume" && this.#tries === 0 ? least : Math.min(most, least * 2 ** this.#tries);
    this.#tries += 1;
    const at = Math.max(Date.now(), this.#drainAt) + Math.random() * ceiling;
    this.#drainAt = 0;
    this.#change({ connection: this.#named("waiting"), retry_at_ms: at });
    const round = this.#round;
    setTimeout(() => { if (round === this.#round) void this.#connect(); }, at - Date.now());
  }

  #awake() {
    if (this.#trying || this.#state.connection === "live" || globalThis.document?.visibilityState === "hidden") return;
    void this.#connect();
  }

  // -- once a second ------------------------------------------------------------------------

  #tick() {
    const { connection, offers } = this.#state, now = Date.now();
    if (Object.values(offers).some((offer) => offer.expires_at_ms <= this.now())) {
      this.#change({ offers: Object.fromEntries(Object.entries(offers).filter(([, offer]) => offer.expires_at_ms > this.now())) });
    }
    if (this.#trying && now - this.#began > WELCOME_MS) return this.#retry("back off");
    if (connection !== "live") return undefined;
    const silent = now - this.#heard, limit = this.#pingMs;
    if (silent > limit * 1.5 || (this.#drainAt && now > this.#drainAt + TICK_MS)) return this.#retry("resume");
    if (silent > limit) this.#send({ t: "ping" });
    this.#ack();
    this.#sendPlace();
    for (const command of this.#state.commands) if ((command.again_ms ?? command.sent_ms + ANSWER_MS) <= now) this.#put(command.key);
    return undefined;
  }

  #ack() {
    if (this.#state.connection !== "live" || this.#stored <= this.#acked) return;
    this.#acked = this.#stored;
    this.#send({ t: "ack", seq: this.#acked });
  }

  #sendPlace() {
    const now = Date.now(), place = this.#place;
    if (place === null || this.#state.connection !== "live" || now - this.#placed < POSITION_MS) return;
    if (this.#socket.bufferedAmount > BUFFERED_BYTES_MAX) return;
    this.#place = null;
    this.#placed = now;
    this.#send({ t: "loc", cseq: ++this.#cseq, ...place });
  }

  #send(frame) {
    if (this.#socket?.readyState === 1) this.#socket.send(JSON.stringify(frame));
  }

  // Send a command, on this connection for the first time or again, always with its own key.
  #put(key) {
    const command = this.#state.commands.find((one) => one.key === key);
    if (command === undefined || this.#state.connection !== "live") return;
    const id = ++this.#frameId;
    for (const [older, its] of this.#asked) if (its === key) this.#asked.delete(older);
    this.#asked.set(id, key);
    this.#replace({ ...command, sent_ms: Date.now(), again_ms: undefined });
    this.#send({ ...command.frame, id, key });
  }

  #replace(command) {
    this.#change({ commands: this.#state.commands.map((one) => (one.key === command.key ? command : one)) });
  }

  // -- what the server says -----------------------------------------------------------------

  #hear(frame) {
    this.#heard = Date.now();
    switch (frame.t) {
      case "welcome": return this.#welcomed(frame);
      case "event": return this.#entry(frame);
      case "reply": case "error": return this.#answered(frame);
      case "ping": return this.#send({ t: "pong" });
      case "offer.revoked": return this.#change({ offers: without(this.#state.offers, frame.offer_id) });
      case "state": return this.#told(frame.topic, frame.data);
      case "auth.expiring": return void this.#refresh();
      case "drain": this.#drainAt = Date.now() + frame.reconnect_in_ms; return undefined;
      default: return undefined; // later versions may say more
    }
  }

  #welcomed({ epoch, seq, zone_id, resumed, snapshot, server_time_ms, ping_s }) {
    this.#pingMs = ping_s * 1000;
    this.#trying = false;
    this.#began = Date.now();
    this.#cseq = this.#placed = 0;
    this.#seen.clear();
    const found = resumed ? {} : {
      status: snapshot.status, reach: null, capacity: snapshot.capacity,
      orders: byId(snapshot.orders, "order_id"), offers: byId(newest(snapshot.offers, OFFERS_MAX), "offer_id"),
      log: newest([...this.#state.log, { seq, type: "snapshot", at_ms: server_time_ms }], LOG_MAX),
    };
    if (!resumed) this.#acked = 0;
    this.#change({ ...found, connection: "live", closed: null, epoch, seq, zone_id, board: [], queue: null, skew_ms: server_time_ms - Date.now() });
    void this.#save();
    for (const { key } of this.#state.commands) this.#put(key);
    this.#sendPlace();
    if (resumed) void this.#readStatus();
  }

  // An operator may have taken the driver offline while the socket was closed.
  async #readStatus() {
    const round = this.#round;
    try {
      const { status, state } = await this.#options.status?.() ?? {};
      const asked = this.#state.commands.some(({ frame }) => frame.t === "availability");
      if (status !== undefined && round === this.#round && !asked) this.#told("availability", { status, state });
    } catch { /* the next connection asks again */ }
  }

  #entry(frame) {
    if (frame.seq <= this.#state.seq) return;
    if (frame.seq > this.#state.seq + 1) return void this.#retry("resume"); // an entry was lost: the server repeats it
    const carried = this.#state.orders[frame.data.order_id];
    this.#change(withEntry(this.#state, frame));
    this.#options.onEntry(frame, carried);
    void this.#save();
  }

  #told(topic, data) {
    if (topic === "board") this.#change({ board: data.orders });
    if (topic === "queue") this.#change({ queue: data.place });
    if (topic === "zone") this.#change({ zone_id: data.zone_id, board: [] });
    if (topic === "availability") this.#change({ status: data.status, reach: data.state });
    if (topic !== "board") void this.#save();
  }

  async #refresh() {
    const round = this.#round;
    try {
      const token = await this.#options.token();
      if (round === this.#round) this.#send({ t: "auth.refresh", id: ++this.#frameId, token });
    } catch { /* the server closes with 4201 at the token's end */ }
  }

  #answered(frame) {
    const key = this.#asked.get(frame.id), command = this.#state.commands.find((one) => one.key === key);
    this.#asked.delete(frame.id);
    if (command === undefined) return;
    const open = frame.t === "error" ? [frame] : (frame.results ?? []);
    if (open.some((one) => one.temporary)) {
      const tries = (command.tries ?? 0) + 1;
      const pause = Math.max(...open.map((one) => one.retry_after_ms ?? 0), Math.min(BACKOFF_MS[1], 1000 * 2 ** (tries - 1)));
      this.#replace({ ...command, tries, again_ms: Date.now() + pause });
      return;
    }
    this.#conclude(command, frame);
  }

  #conclude({ key, frame: asked }, answer) {
    const { commands, offers } = this.#state;
    const changes = { commands: commands.filter((one) => one.key !== key) };
    if (asked.t === "availability" && answer.ok) Object.assign(changes, { status: answer.status, reach: answer.status });
    // Whatever the answer is, the offer is over: it is won, declined, or somebody else's.
    if (asked.orders) changes.offers = asked.orders.reduce(offersBut, offers);
    this.#change(changes);
    this.#options.onAnswer(asked, answer);
    void this.#save();
    this.#store.drop(key).catch(() => this.#change({ durable: false }));
  }
}
