// Map: two canvases, no tiles. The ground (zone, traces, stores) is drawn when the view changes, the rest when something
// has moved by half a pixel.
import { Sprites } from "./sprites.js";
import { DOING, isLate } from "./picture.js";

const HIT_PX = 14, PAN_PX = 80, ZOOM = 1.4, K_MIN = 0.002, K_MAX = 8, PAD_PX = 56, SPAN_MIN_M = 400;
const TRACES_MAX = 12_000, LABELS_FROM = 0.35;
// From one drawn frame to the next while things move: oftener where a metre is more than a pixel.
const gap = (k) => (k > 1 ? 50 : 110);

export class ZoneMap {
  constructor(stage, picture, { onPick, onHover }) {
    this.stage = stage; this.picture = picture; this.onPick = onPick; this.onHover = onHover;
    [this.ground, this.things] = stage.querySelectorAll("canvas");
    this.area = []; this.stores = []; this.traces = []; this.filter = null; this.selected = null;
    this.view = { x: 0, y: 0, k: 0.2 }; this.fitted = false; this.sprites = new Sprites(stage);
    this.still = matchMedia("(prefers-reduced-motion: reduce)");
    this.came = 0; this.every = 1000; this.drawn = 0; this.frame = 0; this.hovered = null;
    this.sizes = new ResizeObserver(() => this.resize());
    this.sizes.observe(stage);
    this.#listen();
    this.resize();
  }

  end() { this.sizes.disconnect(); cancelAnimationFrame(this.frame); }

  // -- what is shown --------------------------------------------------------------------------------------

  load(area, stores) {
    this.area = (area ?? []).map(({ lat, lon }) => this.picture.project(lat, lon));
    this.stores = stores.map((store) => { const [x, y] = this.picture.project(store.lat, store.lon); return { ...store, x, y }; });
    if (!this.fitted) this.fit();
    this.redraw();
  }

  // A tick was taken in.
  ticked() {
    const now = performance.now(), driven = this.picture.driven.splice(0);
    this.every = Math.min(1200, now - this.came) || 1000;
    this.came = now;
    if (!this.touched && !this.area.length && this.#outgrown()) this.fit();
    if (driven.length) {
      this.traces.push(...driven);
      if (this.traces.length > TRACES_MAX * 4) this.traces.splice(0, this.traces.length - TRACES_MAX * 4);
      this.#strokeTraces(driven);
    }
    this.schedule();
  }

  theme() { this.sprites.clear(); this.redraw(); }

  show({ filter, selected }) {
    this.filter = filter; this.selected = selected;
    this.drawn = 0;
    this.schedule();
  }

  // -- the view -------------------------------------------------------------------------------------------

  resize() {
    const { clientWidth: w, clientHeight: h } = this.stage;
    if (!w || !h) return;
    this.w = w; this.h = h; this.dpr = Math.min(2, devicePixelRatio || 1);
    for (const canvas of [this.ground, this.things]) { canvas.width = Math.round(w * this.dpr); canvas.height = Math.round(h * this.dpr); }
    if (!this.touched) this.fit(); else this.redraw();
  }

  // What has to be seen: the zone, or where there is no border everything in it.
  #box() {
    const box = [Infinity, -Infinity, Infinity, -Infinity];
    const grow = (x, y) => { if (!Number.isNaN(x)) { box[0] = Math.min(box[0], x); box[1] = Math.max(box[1], x); box[2] = Math.min(box[2], y); box[3] = Math.max(box[3], y); } };
    if (this.area.length) this.area.forEach(([x, y]) => grow(x, y));
    else for (const all of [this.stores, this.picture.drivers.values(), this.picture.orders.values()]) for (const { x, y } of all) grow(x, y);
    return box;
  }

  #outgrown() {
    const [x0, x1, y0, y1] = this.#box(), seen = this.seen;
    return !seen || x0 < seen[0] || x1 > seen[1] || y0 < seen[2] || y1 > seen[3];
  }

  fit() {
    const [x0, x1, y0, y1] = this.#box();
    if (x0 > x1 || !this.w) return;
    this.seen = [x0, x1, y0, y1];
    this.view = { x: (x0 + x1) / 2, y: (y0 + y1) / 2, k: Math.min(K_MAX, (this.w - 2 * PAD_PX) / Math.max(x1 - x0, SPAN_MIN_M), (this.h - 2 * PAD_PX) / Math.max(y1 - y0, SPAN_MIN_M)) };
    this.fitted = true; this.touched = false;
    this.redraw();
  }

  zoom(factor, px = this.w / 2, py = this.h / 2) {
    const v = this.view, k = Math.min(K_MAX, Math.max(K_MIN, v.k * factor));
    v.x += (px - this.w / 2) * (1 / v.k - 1 / k); v.y += (py - this.h / 2) * (1 / v.k - 1 / k); v.k = k;
    this.touched = true;
    this.redraw();
  }

  pan(dx, dy) { this.view.x -= dx / this.view.k; this.view.y -= dy / this.view.k; this.touched = true; this.redraw(); }

  at(x, y) { return [(x - this.view.x) * this.view.k + this.w / 2, (y - this.view.y) * this.view.k + this.h / 2]; }

  redraw() { this.stale = true; this.drawn = 0; this.schedule(); }

  schedule() { if (!this.frame) this.frame = requestAnimationFrame((now) => this.#step(now)); }

  #step(now) {
    this.frame = 0;
    if (!this.w) return;
    const part = this.still.matches ? 1 : Math.min(1, (now - this.came) / this.every);
    if (now - this.drawn >= gap(this.view.k) || part === 1) {
      this.drawn = now;
      if (this.stale) { this.stale = false; this.#drawGround(); }
      this.#drawThings(part);
    }
    if (part < 1) this.schedule();
  }

  // -- drawing --------------------------------------------------------------------------------------------

  #begin(canvas) {
    const g = canvas.getContext("2d");
    g.setTransform(this.dpr, 0, 0, this.dpr, 0, 0);
    g.clearRect(0, 0, this.w, this.h);
    return g;
  }

  #drawGround() {
    const g = this.#begin(this.ground), colour = this.sprites.colours;
    if (this.area.length) {
      g.beginPath();
      this.area.forEach(([x, y], i) => { const p = this.at(x, y); if (i) g.lineTo(...p); else g.moveTo(...p); });
      g.closePath();
      g.fillStyle = colour["map-land"]; g.fill();
      g.setLineDash([6, 5]); g.lineWidth = 1.2; g.strokeStyle = colour["map-zone"]; g.stroke(); g.setLineDash([]);
    } else { g.fillStyle = colour["map-land"]; g.fillRect(0, 0, this.w, this.h); }
    this.#strokeTraces(this.traces, g);
    const named = this.view.k > LABELS_FROM;
    g.font = `500 11px ${colour.font}`; g.textBaseline = "middle";
    for (const store of this.stores) {
      const [x, y] = this.at(store.x, store.y);
      this.sprites.draw(g, "store", x, y);
      if (named) { g.fillStyle = colour["map-label"]; g.fillText(store.name, x + 11, y); }
    }
  }

  #strokeTraces(segments, g = this.ground.getContext("2d")) {
    if (!segments.length) return;
    g.strokeStyle = this.sprites.colours["map-trace"]; g.globalAlpha = 0.5; g.lineWidth = 1; g.beginPath();
    for (let i = 0; i < segments.length; i += 4) { g.moveTo(...this.at(segments[i], segments[i + 1])); g.lineTo(...this.at(segments[i + 2], segments[i + 3])); }
    g.stroke(); g.globalAlpha = 1;
  }

  // Where a driver is drawn: between the last two places that it has told.
  #between(driver, part) {
    const p = driver.movedIn === this.picture.n ? part : 1;
    return this.at(driver.fromX + (driver.x - driver.fromX) * p, driver.fromY + (driver.y - driver.fromY) * p);
  }

  #drawThings(part) {
    const g = this.#begin(this.things), now = this.picture.now(), { w, h, filter } = this;
    const seen = ([x, y]) => x > -20 && y > -20 && x < w + 20 && y < h + 20;
    for (const order of this.picture.orders.values()) {
      const p = this.at(order.x, order.y);
      if (!seen(p)) continue;
      g.globalAlpha = !filter || filter.order?.(order, now) ? 1 : 0.16;
      this.sprites.draw(g, `order${order.status}${isLate(order, now) ? "late" : ""}`, ...p);
    }
    for (const driver of this.picture.drivers.values()) {
      if (Number.isNaN(driver.x)) continue;
      const p = this.#between(driver, part);
      if (!seen(p)) continue;
      g.globalAlpha = !filter || filter.driver?.(driver) ? 1 : 0.22;
      this.sprites.driver(g, driver.doing, driver.heading, ...p);
    }
    g.globalAlpha = 1;
    if (this.selected !== null) this.#drawSelected(g, part);
  }

  // The way of one order: its driver, its store, its door.
  #drawSelected(g, part) {
    const order = this.picture.orders.get(this.selected);
    if (!order) return;
    const colour = this.sprites.colours, store = this.stores.find((s) => s.number === order.store), driver = this.picture.drivers.get(order.driver);
    const door = this.at(order.x, order.y), shop = store && this.at(store.x, store.y), there = driver && !Number.isNaN(driver.x) && this.#between(driver, part);
    const way = order.status === 2 ? [there, door] : [there, shop, door];
    g.strokeStyle = order.status === 0 ? colour.act : colour.go; g.lineWidth = 2;
    g.setLineDash(order.status === 2 ? [] : [5, 4]);
    g.beginPath();
    way.filter(Boolean).forEach((p, i) => (i ? g.lineTo(...p) : g.moveTo(...p)));
    g.stroke(); g.setLineDash([]);
    for (const p of [shop, there, door].filter(Boolean)) { g.beginPath(); g.arc(...p, 12, 0, 7); g.strokeStyle = colour.t1; g.lineWidth = 2; g.stroke(); }
  }

  // -- hand and keys --------------------------------------------------------------------------------------

  #listen() {
    const { stage } = this;
    let from = null, moved = false;
    stage.addEventListener("pointerdown", (e) => { if (e.target.closest("button, a") || e.button !== 0) return; from = [e.clientX, e.clientY]; moved = false; });
    stage.addEventListener("pointermove", (e) => {
      if (from) {
        const dx = e.clientX - from[0], dy = e.clientY - from[1];
        if (!moved && Math.hypot(dx, dy) < 4) return;
        if (!moved) { moved = true; stage.setPointerCapture(e.pointerId); stage.classList.add("dragged"); }
        from = [e.clientX, e.clientY];
        this.pan(dx, dy);
      } else if (!e.target.closest(".panel")) this.#hover(this.hit(...this.#point(e)), this.#point(e)); else this.#hover(null);
    });
    const up = (e) => {
      if (from && !moved && e.type === "pointerup" && !e.target.closest(".panel")) this.onPick(this.hit(...this.#point(e)));
      from = null;
      stage.classList.remove("dragged");
    };
    stage.addEventListener("pointerup", up);
    stage.addEventListener("pointercancel", up);
    stage.addEventListener("pointerleave", () => this.#hover(null));
    stage.addEventListener("wheel", (e) => { e.preventDefault(); this.zoom(Math.exp(-e.deltaY / 400), ...this.#point(e)); }, { passive: false });
    stage.addEventListener("keydown", (e) => {
      if (e.target !== stage) return;
      const keys = { ArrowLeft: () => this.pan(PAN_PX, 0), ArrowRight: () => this.pan(-PAN_PX, 0), ArrowUp: () => this.pan(0, PAN_PX), ArrowDown: () => this.pan(0, -PAN_PX), "+": () => this.zoom(ZOOM), "=": () => this.zoom(ZOOM), "-": () => this.zoom(1 / ZOOM), 0: () => this.fit() };
      if (!keys[e.key] || e.ctrlKey || e.metaKey) return;
      e.preventDefault();
      keys[e.key]();
    });
  }

  #point(e) { const box = this.stage.getBoundingClientRect(); return [e.clientX - box.left, e.clientY - box.top]; }

  #hover(found, point) {
    const key = found && `${found.kind}${found.id}`;
    this.stage.classList.toggle("hit", Boolean(found) && found.kind === "order");
    if (key === this.hovered && !found) return;
    this.hovered = key;
    this.onHover(found, point);
  }

  // The nearest thing under a point; orders before drivers before stores.
  hit(px, py) {
    let best = null, least = HIT_PX;
    const look = (kind, id, [x, y], handicap) => {
      const far = Math.hypot(x - px, y - py) + handicap;
      if (far < least) { least = far; best = { kind, id }; }
    };
    for (const order of this.picture.orders.values()) look("order", order.id, this.at(order.x, order.y), 0);
    for (const driver of this.picture.drivers.values()) if (!Number.isNaN(driver.x)) look("driver", driver.id, this.#between(driver, 1), 1);
    for (const store of this.stores) look("store", store.number, this.at(store.x, store.y), 2);
    return best;
  }
}

export const FILTERS = {
  waiting: { order: (o) => o.status === 0 },
  assigned: { order: (o) => o.status === 1, driver: (d) => d.doing === DOING.FETCHING },
  picked_up: { order: (o) => o.status === 2, driver: (d) => d.doing === DOING.DELIVERING },
  late: { order: isLate },
  free: { driver: (d) => d.load === 0 },
};
