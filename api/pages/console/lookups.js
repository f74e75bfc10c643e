// Lookups: names of what the live picture and orders name by number. Read once for each zone, and kept for the page.
import { signal } from "@preact/signals";
import { read } from "../client/requests.js";

const PAGES_MAX = 10;

// id to name: drv_7, sto_1.
export const names = signal(new Map());
const asked = new Map();

export async function readAll(path, signal_) {
  const items = [];
  let cursor = null;
  for (let page = 0; page < PAGES_MAX; page++) {
    const found = await read(`${path}${path.includes("?") ? "&" : "?"}limit=100${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`, { signal: signal_ });
    items.push(...found.items);
    cursor = found.next;
    if (cursor === null) break;
  }
  return items;
}

function learn(items) {
  const next = new Map(names.value);
  for (const { id, name } of items) next.set(id, name);
  names.value = next;
  return items;
}

// The stores of a zone, also those that are closed.
export const storesOf = (zone) => once(`stores ${zone}`, async () => {
  const open = await readAll(`/api/v2/stores?zone_id=${zone}`);
  const closed = await readAll(`/api/v2/stores?zone_id=${zone}&active=false`);
  return learn([...open, ...closed].map((store) => ({ ...store, number: Number(store.id.slice(4)) })));
});

export const learnDrivers = (zone) => once(`drivers ${zone}`, async () => learn(await readAll(`/api/v2/drivers?zone_id=${zone}`)));
export const zoneOf = (zone) => once(`zone ${zone}`, () => read(`/api/v2/zones/${zone}`));

// A driver of whom nothing is known yet: the list is read again, but not for each.
const WONDER_MS = 15_000;
let wondered = -WONDER_MS;

export function wonderAbout(zone) {
  const now = performance.now();
  if (now - wondered < WONDER_MS) return;
  wondered = now;
  asked.delete(`drivers ${zone}`);
  void learnDrivers(zone).catch(() => {});
}

function once(name, task) {
  if (!asked.has(name)) {
    const made = task();
    asked.set(name, made);
    made.catch(() => asked.delete(name));
  }
  return asked.get(name);
}

export const driverName = (number) => names.value.get(`drv_${number}`);
export const storeName = (number) => names.value.get(`sto_${number}`) ?? `sto_${number}`;
