// Asks for the order again and again: one request at a time, none while nobody looks, and more seldom while it fails.
const PATH = "/api/v2/shared-order";
const DEADLINE_MS = 8000;
const FIRST_PAUSE_MS = 2000, LONGEST_PAUSE_MS = 60_000;
// After so many failures in a row what is shown is called old.
const MISSES_MAX = 3;
const ENDED = ["delivered", "cancelled", "undeliverable"];

// `tell` gets { state, order, seenAt }. States: live, stale, offline, ended; failed, before anything was read; unknown, when
// the link leads nowhere. With the last two `order` may be missing.
export function follow(secret, tell) {
  let order, tag, seenAt, timer, asking = false, misses = 0, over = false;

  const say = (state) => tell({ state, order, seenAt, again: ask });
  const later = (ms) => { clearTimeout(timer); timer = setTimeout(ask, ms); };

  function missed(retryAfterS) {
    misses += 1;
    if (!navigator.onLine) say("offline");
    else if (!order) say("failed");
    else say(misses >= MISSES_MAX ? "stale" : "live");
    const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (misses - 1));
    later(Math.max(pause, 1000 * retryAfterS) * (1 + Math.random() / 5));
  }

  async function read() {
    const headers = { Authorization: `Share ${secret}`, ...(tag && { "If-None-Match": tag }) };
    const response = await fetch(PATH, { headers, cache: "no-store", credentials: "omit", signal: AbortSignal.timeout(DEADLINE_MS) });
    if (response.status === 401 || response.status === 404) {
      over = true;
      return say("unknown");
    }
    if (response.status === 200) {
      order = await response.json();
      tag = response.headers.get("ETag");
    } else if (response.status !== 304) {
      return missed(Number(response.headers.get("Retry-After")) || 0);
    }
    misses = 0;
    seenAt = Date.now();
    over = ENDED.includes(order.status);
    say(over ? "ended" : "live");
    if (!over) later(1000 * order.poll_after_s);
  }

  async function ask() {
    clearTimeout(timer);
    if (asking || over || document.hidden) return;
    asking = true;
    try {
      await read();
    } catch {
      missed(0);
    } finally {
      asking = false;
    }
  }

  addEventListener("online", ask);
  addEventListener("offline", () => { if (!over) say("offline"); });
  document.addEventListener("visibilitychange", ask);
  ask();
}
