// Positions: where the driver is, from the phone or simulated, while a shift is on. The screen stays awake meanwhile, for
// a browser gives no positions to a page that is not in front.
import { effect, signal } from "@preact/signals";
import { carried, feedState, report } from "./shift.js";

// state: off, asking, on, simulated, denied, missing. `place` is the newest one.
export const position = signal({ state: "off", place: null });

const simulated = new URLSearchParams(location.search).get("sim");

let end = null;
let awake = null;

function take(state, place) {
  position.value = { state, place };
  report(place);
}

function watchPhone() {
  if (!navigator.geolocation) {
    position.value = { state: "missing", place: null };
    return () => {};
  }
  position.value = { ...position.value, state: "asking" };
  const watch = navigator.geolocation.watchPosition(
    ({ coords }) => take("on", { lat: coords.latitude, lon: coords.longitude, accuracy_m: coords.accuracy, ...(coords.speed === null ? {} : { speed_mps: coords.speed }) }),
    (error) => { position.value = { ...position.value, state: error.code === error.PERMISSION_DENIED ? "denied" : "missing" }; },
    { enableHighAccuracy: true, maximumAge: 2000 },
  );
  return () => navigator.geolocation.clearWatch(watch);
}

function simulate() {
  let stop = null, ended = false;
  void import("./simulation.js").then(({ startSimulation }) => {
    if (!ended) stop = startSimulation(Number(simulated) || undefined, (place) => take("simulated", place));
  });
  return () => { ended = true; stop?.(); };
}

async function keepAwake() {
  if (end === null || awake !== null || !navigator.wakeLock || document.visibilityState !== "visible") return;
  try {
    awake = await navigator.wakeLock.request("screen");
    awake.addEventListener("release", () => { awake = null; });
    if (end === null) awake.release();
  } catch { /* a low battery; the screen goes dark then */ }
}

export function followShift() {
  document.addEventListener("visibilitychange", keepAwake);
  effect(() => {
    const wanted = feedState.value.connection !== "stopped" && (feedState.value.status === "online" || carried.value.length > 0);
    if (wanted && end === null) {
      // The state that starts the watch must not start it anew with each position.
      queueMicrotask(() => {
        if (end !== null) return;
        end = simulated === null ? watchPhone() : simulate();
        void keepAwake();
      });
    } else if (!wanted && end !== null) {
      end();
      end = null;
      awake?.release();
      position.value = { state: "off", place: null };
    }
  });
}
