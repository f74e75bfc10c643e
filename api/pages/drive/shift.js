// Shift: the driver's feed for the pages, and what they do with it.
import { computed, signal } from "@preact/signals";
import { read, call } from "../client/requests.js";
import { ApiProblem } from "../client/problem.js";
import { accessToken, resume, session } from "../client/session.js";
import { remembered } from "../client/storage.js";
import { DriverFeed, FeedStore, emptyState } from "./malldrive.js";
import { grouped } from "./offers.js";

const DRIVER = "mall.drive.driver";
const ENDS = "mall.drive.shift_ends_ms";
const NOTES_MAX = 20;

export const feedState = signal(emptyState());
// Whose shift the page shows; null before sign-in.
export const driver = signal(null);
// Refusals to be shown: { [order id]: code }; the newest ones.
export const refusals = signal({});
// Orders that were taken from the driver: { order, type, reason }; until each is understood.
export const losses = signal([]);
// The page is on the screen, and not only open.
export const inFront = signal(document.visibilityState === "visible");
export const shiftEndsMs = signal(Number(remembered.get(ENDS)) || null);
// What the driver is being asked about an order: { kind: "deliver" | "fail", id }.
export const question = signal(null);
// Once a second, for countdowns, by the server's clock.
export const now = signal(Date.now());

let feed = null;
let store = null;

const waiting = (fits) => feedState.value.commands.find(({ frame }) => fits(frame));
export const commandOf = (orderId) => waiting((frame) => frame.order_id === orderId);
export const commandOfOffer = (orderIds) => waiting((frame) => frame.orders?.some((id) => orderIds.includes(id)));
export const availabilityAsked = computed(() => waiting((frame) => frame.t === "availability")?.frame.status ?? null);
export const offers = computed(() => grouped(feedState.value, now.value));
export const carried = computed(() => sequence(Object.values(feedState.value.orders)));

// Orders of a trip in its sequence; what is on its way before what is still in a store.
function sequence(orders) {
  const stage = (order) => (order.status === "picked_up" ? 0 : 1);
  const place = (order) => order.trip?.orders.indexOf(order.order_id) ?? 0;
  return orders.sort((a, b) => stage(a) - stage(b) || place(a) - place(b) || (a.eta_ms ?? a.ready_at_ms) - (b.eta_ms ?? b.ready_at_ms));
}

// A ticket for the feed. Only a session that has ended needs the driver; everything else passes.
async function ticket() {
  try {
    if (session.value.state !== "in") await resume();
    if (session.value.state === "unreachable") throw session.value.why;
    return (await call("POST", "/api/v2/realtime/tickets")).value.ticket;
  } catch (problem) {
    throw Object.assign(problem, { final: problem instanceof ApiProblem && !problem.passing });
  }
}

// The next token: one that is newer than the present one.
const token = async () => accessToken(await accessToken());

// The driver of an earlier page, to go on without a network.
export function rememberedDriver() {
  try { return JSON.parse(remembered.get(DRIVER)); } catch { return null; }
}

export async function begin(user) {
  driver.value = user;
  remembered.set(DRIVER, JSON.stringify({ id: user.id, name: user.name }));
  store = new FeedStore(`malldrive ${user.id}`);
  feed = new DriverFeed({
    url: `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/api/v2/drivers/feed`,
    ticket, token, status: () => read("/api/v2/drivers/me"), store,
    device: navigator.userAgentData?.platform || "browser", appVersion: "drive 1",
    onChange: (state) => { feedState.value = state; },
    onAnswer: answered,
    onEntry: taken,
  });
  await feed.start();
}

export const reconnect = () => feed.start();

// The session has ended by itself: what is kept stays, for the same driver's next one.
export function pause() {
  feed?.stop();
  feed = driver.value = null;
}

// The driver has signed out, here or in another tab: nothing of the orders stays on the phone.
export function clear() {
  pause();
  store?.forget();
  remembered.set(DRIVER, null);
  remembered.set(ENDS, null);
  shiftEndsMs.value = null;
  refusals.value = {};
  losses.value = [];
}

// An order that is cancelled or given to somebody else must not just vanish.
function taken({ type, data }, order) {
  if (order && (type === "order.cancelled" || type === "order.released")) losses.value = [...losses.value, { order, type, reason: data.reason }].slice(-NOTES_MAX);
}
export const understood = (loss) => { losses.value = losses.value.filter((one) => one !== loss); };

function refuse(id, code) {
  refusals.value = Object.fromEntries([...Object.entries(refusals.value).filter(([key]) => key !== id), [id, code]].slice(-NOTES_MAX));
}

export const forgive = (id) => { refusals.value = Object.fromEntries(Object.entries(refusals.value).filter(([key]) => key !== id)); };

const GOOD = new Set(["won", "already_yours", "declined"]);

function answered(frame, answer) {
  const code = answer.t === "error" ? answer.code : answer.ok === false ? answer.result : null;
  const about = frame.order_id ?? "shift";
  const lost = code ?? answer.results?.find((one) => !GOOD.has(one.result))?.result;
  if (lost && frame.t !== "offer.decline") refuse(about, lost);
  else forgive(about);
}

async function command(frame, about = "shift") {
  forgive(about);
  try { await feed.command(frame); } catch { refuse(about, "too_many_commands"); }
}

export function goOnline(endsMs) {
  shiftEndsMs.value = endsMs;
  remembered.set(ENDS, endsMs && String(endsMs));
  return command({ t: "availability", status: "online", ...(endsMs ? { shift_ends_at_ms: endsMs } : {}) });
}
export const goOffline = () => command({ t: "availability", status: "offline" });

// An offer of one order is named by its id, a trip by its own: so each wins only what was shown.
const named = (offer) => ({ orders: offer.orders.map((order) => order.order_id), ...(offer.tripId ? { trip_id: offer.tripId } : { offer_id: offer.orders[0].offer_id }) });
export const accept = (offer) => command({ t: "offer.accept", ...named(offer) });
export const decline = (offer, reason) => command({ t: "offer.decline", ...named(offer), reason });
export const seen = (offer) => { for (const order of offer.orders) if (!offer.open) feed?.seen(order.offer_id); };

export const pickUp = (id) => command({ t: "order.pickup", order_id: id }, id);
export const deliver = (id, pin) => command({ t: "order.delivery", order_id: id, ...(pin ? { pin } : {}) }, id);
export const fail = (id, reason, returning) => command({ t: "order.failure", order_id: id, reason, ...(returning ? { returning: true } : {}) }, id);
export const giveBack = (id) => command({ t: "order.return", order_id: id }, id);
export const report = (place) => feed?.report(place);
export const alive = () => feed?.alive();

document.addEventListener("visibilitychange", () => { inFront.value = document.visibilityState === "visible"; });

setInterval(() => { now.value = feed?.now() ?? Date.now(); }, 1000);
