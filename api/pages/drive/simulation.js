// A simulated driver for demos: it drives to the store and to the door by itself, and roams between stores meanwhile.
import { read } from "../client/requests.js";
import { pickupsOf, metresBetween } from "./offers.js";
import { carried, feedState } from "./shift.js";

const STEP_MS = 1000;
// As a scooter. Faster than 70 m/s no vehicle is believed.
const USUAL_MPS = 12;
const MOST_MPS = 60;
const STORES_MAX = 50;
// How far from its store a driver without a known place begins.
const BESIDE_DEG = 0.004;

const unlessAway = (reading, other) => reading.catch(() => other);

// Where the next stop of what is carried is; null when nothing is.
function target() {
  const [order] = carried.value;
  if (order === undefined) return null;
  return order.status === "picked_up" && !order.returning ? order.dropoff : pickupsOf([order])[0].store;
}

function moved(from, to, metres) {
  const way = metresBetween(from, to);
  if (way <= metres) return { lat: to.lat, lon: to.lon };
  const part = metres / way;
  return { lat: from.lat + (to.lat - from.lat) * part, lon: from.lon + (to.lon - from.lon) * part };
}

// Report a place each second to `take`. Returns how to end it.
export function startSimulation(wantedMps, take) {
  const speed = Math.min(wantedMps ?? USUAL_MPS, MOST_MPS);
  let place = null, stores = [], roaming = null, ended = false;
  const begin = async () => {
    const me = await unlessAway(read("/api/v2/drivers/me"), {});
    stores = (await unlessAway(read(`/api/v2/stores?zone_id=${me.zone_id ?? feedState.value.zone_id}&limit=${STORES_MAX}`), { items: [] })).items;
    const [first] = stores;
    place = me.location ?? (first ? { lat: first.lat + BESIDE_DEG, lon: first.lon - BESIDE_DEG } : null);
  };
  const step = () => {
    const stop = target();
    place ??= stop;
    if (place === null || ended) return;
    if (stop === null && (roaming === null || metresBetween(place, roaming) < 1)) roaming = stores[Math.floor(Math.random() * stores.length)] ?? place;
    const to = stop ?? roaming;
    const way = metresBetween(place, to);
    place = moved(place, to, (stop === null ? 0.4 : 1) * speed * (STEP_MS / 1000));
    take({ ...place, accuracy_m: 5, speed_mps: Math.min(speed, way) });
  };
  void begin().then(step);
  const timer = setInterval(step, STEP_MS);
  return () => { ended = true; clearInterval(timer); };
}
