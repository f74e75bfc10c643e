// Answers to offers, told by what the history has after them.
const END = new Set(["assigned", "cancelled", "released", "failed", "returned", "delivered", "offered"]);

// Each driver of an offer with its distance, its answer and the answer's tone.
export function answersTo(events, at) {
  const { drivers = [], distances_m: far = [] } = events[at].data ?? {};
  return drivers.map((number, i) => ({ number, far: far[i], ...answerOf(`drv_${number}`, events.slice(at + 1)) }));
}

function answerOf(driver, later) {
  for (const event of later) {
    if (event.type === "declined" && event.by.id === driver) return { answer: "declined", tone: "bad" };
    if (event.type === "assigned") return event.by.id === driver || event.data?.driver_id === driver ? { answer: "won", tone: "go" } : { answer: "taken", tone: "off" };
    if (event.type === "offer_expired") return { answer: "expired", tone: "off" };
    if (event.type === "offer_withdrawn") return { answer: "withdrawn", tone: "off" };
    if (END.has(event.type)) return { answer: "over", tone: "off" };
  }
  return { answer: "open", tone: "act" };
}

const TURNS = { awaiting_payment: ["wait", "paying"], confirmed: ["act", "searching"], assigned: ["half", "fetching"], picked_up: ["go", "delivering"] };
const AFTER = { paid: "confirmed", assigned: "assigned", released: "confirmed", picked_up: "picked_up", delivered: null, cancelled: null, failed: null, returned: null };

// Whose turn it was, and for how long: { tone, name, seconds }.
export function phasesOf(events, order, nowMs) {
  if (!events.length) return [];
  const first = order.payment === "card" ? "awaiting_payment" : "confirmed";
  const parts = [{ status: first, from: Date.parse(events[0].at) }];
  for (const event of events) {
    if (!(event.type in AFTER) || AFTER[event.type] === parts.at(-1).status) continue;
    parts.at(-1).to = Date.parse(event.at);
    if (AFTER[event.type] === null) break;
    parts.push({ status: AFTER[event.type], from: Date.parse(event.at) });
  }
  return parts.map(({ status, from, to = nowMs }) => ({ tone: TURNS[status][0], name: TURNS[status][1], from, to, seconds: (to - from) / 1000 })).filter((part) => part.seconds > 0.5);
}
