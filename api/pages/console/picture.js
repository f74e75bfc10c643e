// Picture: orders and drivers of a zone as the last tick has left them. Places are metres from the first place that was
// heard of, x to the east and y to the south.
export const STATUSES = ["confirmed", "assigned", "picked_up"];
export const DOING = { FREE: 0, FETCHING: 1, DELIVERING: 2 };
const DRIVER = 6, METRES_LAT = 110.574e3, METRES_LON = 111.32e3, MICRO = 1e6;
// Below this a driver has not moved, and keeps its heading.
const MOVED_M = 1.5;

export class Picture {
  constructor() { this.clear(); }

  clear() {
    this.origin = null; this.ahead = 0;
    this.#forget();
  }

  #forget() {
    this.run = -1; this.n = -1; this.corner = null;
    this.orders = new Map(); this.drivers = new Map();
    // Segments that drivers have driven since the last look at them.
    this.driven = [];
  }

  // The server's clock, as far as it is known here.
  now() { return Date.now() + this.ahead; }

  project(lat, lon) {
    this.origin ??= { lat, lon, shrink: Math.cos(lat * (Math.PI / 180)) };
    return [(lon - this.origin.lon) * METRES_LON * this.origin.shrink, (this.origin.lat - lat) * METRES_LAT];
  }

  // Take in a tick; false when one is missing before it.
  apply(tick) {
    if (tick.whole) {
      if (tick.run !== this.run) this.#forget();
      this.orders.clear();
      const there = new Set();
      for (let i = 0; i < tick.drivers.length; i += DRIVER) there.add(tick.drivers[i]);
      for (const id of this.drivers.keys()) if (!there.has(id)) this.drivers.delete(id);
    } else if (tick.run !== this.run || tick.n !== this.n + 1) {
      return false;
    }
    this.corner = tick.corner;
    this.run = tick.run;
    this.n = tick.n;
    this.ahead = tick.at_ms - Date.now();
    for (let i = 0; i < tick.drivers.length; i += DRIVER) this.#driver(tick.drivers, i);
    for (const id of tick.left ?? []) this.drivers.delete(id);
    for (const row of tick.orders) this.#order(row);
    for (const id of tick.ended ?? []) this.orders.delete(id);
    return true;
  }

  #metres(lat, lon) { return this.project((this.corner[0] + lat) / MICRO, (this.corner[1] + lon) / MICRO); }

  #driver(numbers, at) {
    const id = numbers[at], placed = numbers[at + 1] !== null;
    const [x, y] = placed ? this.#metres(numbers[at + 1], numbers[at + 2]) : [NaN, NaN];
    const known = this.drivers.get(id);
    const driver = known ?? { id, x, y, fromX: x, fromY: y, heading: null };
    const dx = x - driver.x, dy = y - driver.y;
    if (dx * dx + dy * dy > MOVED_M * MOVED_M) {
      driver.heading = Math.atan2(dy, dx);
      this.driven.push(driver.x, driver.y, x, y);
    }
    driver.fromX = Number.isNaN(driver.x) ? x : driver.x;
    driver.fromY = Number.isNaN(driver.y) ? y : driver.y;
    driver.movedIn = this.n;
    driver.x = x; driver.y = y;
    driver.doing = numbers[at + 3]; driver.load = numbers[at + 4]; driver.capacity = numbers[at + 5];
    this.drivers.set(id, driver);
  }

  #order([id, status, version, store, lat, lon, driver, created, since, promised, expected, wave, asked, address]) {
    const [x, y] = this.#metres(lat, lon);
    this.orders.set(id, { id, status, version, store, x, y, driver, created, since, promised, expected, wave, asked, address });
  }
}

// Seconds by which an order is late; negative while it is not; null without a promise.
export const lateness = (order, nowMs) => (order.promised ? nowMs / 1000 - order.promised : null);
export const isLate = (order, nowMs) => order.promised > 0 && nowMs / 1000 > order.promised;
