// Offers as drivers decide about them: one order, or a whole trip.
import { sum } from "./words.js";

// An offer's orders come with entries of their own. The rest of a trip is waited for so long; then it is shorter by now.
const TRIP_MS = 2000;

// { key, tripId, orders, expiresMs, open } of all that can be accepted: the one that ends first comes first.
export function grouped(state, now) {
  const found = new Map();
  for (const offer of Object.values(state.offers)) {
    const key = offer.trip?.trip_id ?? offer.offer_id;
    found.set(key, [...(found.get(key) ?? []), offer]);
  }
  const made = [...found].map(([key, orders]) => ({ key, tripId: orders[0].trip?.trip_id ?? null, orders: inSequence(orders), expiresMs: Math.min(...orders.map((order) => order.expires_at_ms)), open: false }));
  const ready = made.filter(({ tripId, orders }) => tripId === null || orders.length >= orders[0].trip.orders.length || orders.some((order) => Date.now() - (order.came_ms ?? 0) > TRIP_MS));
  const board = state.board.map((order) => ({ key: order.offer_id, tripId: null, orders: [order], expiresMs: null, open: true }));
  return [...ready.filter(({ expiresMs }) => expiresMs > now).sort((a, b) => a.expiresMs - b.expiresMs), ...board];
}

const inSequence = (orders) => orders.sort((a, b) => (a.trip ? a.trip.orders.indexOf(a.order_id) - a.trip.orders.indexOf(b.order_id) : 0));

// What the driver gets: the trip's pay holds its tips; an order's tip is beside its pay.
export function payOf(orders) {
  const trip = orders[0].trip;
  const whole = trip?.pay && orders.length === trip.orders.length;
  return { total: whole ? trip.pay : sum(orders.flatMap((order) => [order.pay, order.tip])), tips: sum(orders.map((order) => order.tip)) };
}

// Stores on the way, each once, with the time when all that is fetched there is ready.
export function pickupsOf(orders) {
  const stops = new Map();
  for (const order of orders) {
    for (const { store, number, ready_at_ms: readyMs, items } of order.pickups) {
      const stop = stops.get(store.id) ?? { store, numbers: [], readyMs: 0, items: [] };
      stops.set(store.id, { store, numbers: [...stop.numbers, number], readyMs: Math.max(stop.readyMs, readyMs), items: [...stop.items, ...items] });
    }
  }
  return [...stops.values()];
}

const EARTH_M = 6_371_000;
const radians = (degrees) => (degrees * Math.PI) / 180;

// Straight-line distance in metres.
export function metresBetween(a, b) {
  const across = Math.sin(radians(b.lon - a.lon) / 2) ** 2 * Math.cos(radians(a.lat)) * Math.cos(radians(b.lat));
  return 2 * EARTH_M * Math.asin(Math.min(1, Math.sqrt(Math.sin(radians(b.lat - a.lat) / 2) ** 2 + across)));
}
