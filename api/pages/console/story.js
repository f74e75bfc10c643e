// Story of an order: what it is, whose turn it was, everything that has happened, and what may be done now.
import { useEffect } from "preact/hooks";
import { Icon } from "../client/icons.js";
import { html } from "../client/html.js";
import { call, read } from "../client/requests.js";
import { Actions } from "./actions.js";
import { OrderGlyph, TONES } from "./glyphs.js";
import { beat, counts, picture, useZone } from "./live.js";
import { driverName, learnDrivers, names } from "./lookups.js";
import { answersTo, phasesOf } from "./offers.js";
import { Failed, Loading, useReading } from "./states.js";
import { atDay, atTime, lasting, money, number, t, translated } from "./words.js";

const EVENTS_MAX = 1000;
const LIVE = new Set(["confirmed", "assigned", "picked_up"]);
const TONE_OF = { created: "off", paid: "wait", offered: "act", declined: "bad", offer_expired: "off", offer_withdrawn: "off", assigned: "go", handed_over: "go", released: "bad", picked_up: "go", delivered: "ok", cancelled: "off", failed: "bad", returning: "bad", returned: "bad", unclaimed: "bad" };
const FULL = new Set(["created", "picked_up", "delivered", "failed", "returned"]);

async function readStory(id, signal) {
  const [{ value: order, tag }, history] = await Promise.all([call("GET", `/api/v2/orders/${id}`, { signal }), read(`/api/v2/orders/${id}/events?limit=${EVENTS_MAX}`, { signal })]);
  void learnDrivers(order.zone_id).catch(() => {});
  return { order, tag, events: history.items };
}

const named = (id) => { const name = names.value.get(id); return name ? `${name} · ${id}` : id; };

function who(by) {
  if (by.role === "driver") return named(by.id);
  if (by.role === "system" || by.role === "dispatch") return t("by.dispatch");
  return `${translated(`role.${by.role}`, by.role)} ${by.id ?? ""}`;
}

function Promised({ order }) {
  const promised = order.promised_at, eta = order.eta, over = !LIVE.has(order.status);
  const end = over ? Date.parse(order.updated_at) : eta ? Date.parse(eta) : picture.now();
  const late = promised && end > Date.parse(promised);
  return html`${promised && html`<dt>${t("order.promised")}</dt><dd class="num">${atTime(promised)}${late && html` <span class="bad">+${lasting((end - Date.parse(promised)) / 1000)}</span>`}</dd>`}
    ${eta && html`<dt>${t("order.eta")}</dt><dd class="num">${atTime(eta)}</dd>`}`;
}

const Facts = ({ order }) => html`<dl class="facts">
  <dt>${t("order.from")}</dt><dd>${order.pickups.map((pickup) => `${pickup.store.name} #${pickup.number}`).join(", ")}</dd>
  <dt>${t("order.to")}</dt><dd>${order.dropoff.address}</dd>
  <dt>${t("order.driver")}</dt><dd>${order.driver_id ? html`<a href=${`/console/orders?driver=${order.driver_id}`}>${named(order.driver_id)}</a>` : t("order.nobody")}</dd>
  <dt>${t("order.goods")}</dt><dd>${order.items.map((item) => `${item.quantity} × ${item.name}`).join(", ")}</dd>
  <dt>${t("order.total")}</dt><dd class="num">${money(order.total)} · ${t(`payment.${order.payment}`)}${order.tip ? ` · ${t("order.tip", { amount: money(order.tip) })}` : ""}${order.pin_required ? ` · ${t("order.pin")}` : ""}</dd>
  <dt>${t("order.customer")}</dt><dd>${order.contact?.name ?? order.customer_id}${order.contact?.phone ? ` · ${order.contact.phone}` : ""}</dd>
  ${order.deliver_at && html`<dt>${t("order.wished")}</dt><dd class="num">${atDay(order.deliver_at)}</dd>`}
  ${order.returning_since && html`<dt>${t("order.returning")}</dt><dd class="num bad">${atTime(order.returning_since)}</dd>`}
  <dt>${t("order.ready")}</dt><dd class="num">${atTime(order.ready_at)}</dd>
  <${Promised} order=${order} />
  <dt>${t("order.placed")}</dt><dd class="num">${atDay(order.created_at)} · ${t("order.version", { n: order.version })}</dd>
  ${order.notes && html`<dt>${t("order.notes")}</dt><dd class="wraps">${order.notes}</dd>`}</dl>`;

function Phases({ order, events }) {
  beat.value;
  const parts = phasesOf(events, order, LIVE.has(order.status) ? picture.now() : Date.parse(order.updated_at));
  if (!parts.length) return null;
  const from = parts[0].from, promised = order.promised_at && Date.parse(order.promised_at), end = Math.max(parts.at(-1).to, promised || 0), whole = (end - from) * 1.02 || 1;
  return html`<section class="phases" aria-label=${t("phases")}><div class="bar" aria-hidden="true">${parts.map((part) => html`<i class=${part.tone} style=${{ width: `${((part.to - part.from) / whole) * 100}%` }}></i>`)}
    ${promised && html`<u style=${{ left: `${((promised - from) / whole) * 100}%` }}></u>`}</div>
    <ul class="turns">${parts.map((part) => html`<li><i class=${part.tone} aria-hidden="true"></i>${t(`turn.${part.name}`)} <b class="num">${lasting(part.seconds)}</b></li>`)}
    ${promised && html`<li class="due num">${t("phases.promised", { time: atTime(order.promised_at) })}</li>`}</ul></section>`;
}

const Mark = ({ type }) => html`<svg class="glyph ${TONE_OF[type] ?? "off"}" width="18" height="18" viewBox="0 0 18 18" aria-hidden="true"><circle cx="9" cy="9" r="4.6" fill=${FULL.has(type) ? "currentColor" : "var(--bg1)"} stroke="currentColor" stroke-width="2" /></svg>`;

const Offers = ({ events, at }) => html`<ul class="offers">${answersTo(events, at).map(({ number: driver, far, answer, tone }) => html`<li key=${driver}>
  <span>${driverName(driver) ?? `drv_${driver}`}</span><span class="num">${far === undefined ? "" : t("metres", { n: number.format(Math.round(far)) })}</span><span class=${tone}>${t(`answer.${answer}`)}</span></li>`)}</ul>`;

function detail(event) {
  const data = event.data ?? {};
  if (event.type === "ready_time_set") return t("detail.ready", { time: atTime(data.ready_at_ms) });
  if (event.type === "handed_over") return t("detail.handed", { from: named(data.from), to: named(data.driver_id) });
  if (event.type === "assigned" && event.by.role !== "driver" && data.driver_id) return t("detail.assigned", { to: named(data.driver_id) });
  if (event.type === "released" && data.driver_id) return t("detail.released", { from: named(data.driver_id) });
  return null;
}

function Event({ events, at, first }) {
  const event = events[at], before = events[at - 1], gap = before ? (Date.parse(event.at) - Date.parse(before.at)) / 1000 : 0, more = detail(event);
  return html`<li class="event"><time datetime=${event.at} title=${atTime(event.at)}>+${lasting((Date.parse(event.at) - first) / 1000)}</time><${Mark} type=${event.type} /><div>
    <b class=${TONE_OF[event.type] === "bad" ? "bad" : ""}>${translated(`event.${event.type}`, event.type.replaceAll("_", " "))}</b> <span class="by">${t("by", { who: who(event.by) })}</span> ${gap > 20 && html`<span class="gap num">${t("after", { time: lasting(gap) })}</span>`}
    ${event.reason && event.reason !== "unspecified" && html`<div class="why">${event.reason.replaceAll("_", " ")}</div>`}
    ${more && html`<div class="why">${more}</div>`}
    ${event.type === "offered" && html`<${Offers} events=${events} at=${at} />`}
    <div class="trace">${event.trace_id && html`<span title=${event.trace_id}>${event.trace_id.slice(0, 12)}…</span>`}<span>v${event.version}</span></div></div></li>`;
}

const Payments = ({ payments }) => html`<section class="payments"><h3>${t("payments")}</h3><ul class="offers">${payments.map((payment) => html`<li key=${payment.id}>
  <span class="mono">${payment.id}</span><span class="num">${money(payment.amount)}${payment.refunded.amount_minor > 0 ? ` − ${money(payment.refunded)}` : ""}</span><span>${translated(`paid.${payment.status}`, payment.status)}</span></li>`)}</ul></section>`;

// True when the live picture knows more than what was read.
function isBehind(order) {
  beat.value;
  if (!order || !LIVE.has(order.status) || counts.value === null) return 0;
  const row = picture.orders.get(Number(order.id.slice(4)));
  return row === undefined ? -1 : row.version > order.version ? row.version : 0;
}

export function Story({ id, onClose = null, page = false }) {
  const found = useReading((signal) => readStory(id, signal), [id]);
  const { order, events, tag } = found.value ?? {};
  useZone(order && LIVE.has(order.status) ? order.zone_id : null);
  const behind = isBehind(order);
  useEffect(() => { if (behind !== 0) found.again(); }, [behind]);
  if (!order) return html`<div class="story">${onClose && html`<div class="story-head"><div class="line"><h2>${id}</h2><${Close} onClose=${onClose} /></div></div>`}
    <div class="story-wait">${found.problem ? html`<${Failed} problem=${found.problem} onAgain=${found.again} />` : html`<${Loading} rows=${9} />`}</div></div>`;
  const [tone] = TONES[order.status], late = order.promised_at && LIVE.has(order.status) && Date.parse(order.promised_at) < picture.now();
  const head = html`<div class="story-head"><div class="line"><${OrderGlyph} status=${order.status} late=${late} size=${24} />
      <h2>${page ? order.id : html`<a href=${`/console/orders/${order.id}`} title=${t("story.page")}>${order.id}</a>`}</h2>
      <span class="pill ${tone}">${t(`status.${order.status}`)}</span>${onClose && html`<${Close} onClose=${onClose} />`}</div>
    <${Facts} order=${order} />
    <${Actions} order=${order} tag=${tag} onDone=${found.again} /></div>`;
  const first = events.length ? Date.parse(events[0].at) : 0;
  const rest = html`<div class="story-rest"><${Phases} order=${order} events=${events} />
    ${found.problem && html`<div class="story-wait"><${Failed} problem=${found.problem} onAgain=${found.again} /></div>`}
    <h3 class="sr">${t("story")}</h3>
    <ol class="events" aria-label=${t("story")}>${events.map((event, at) => html`<${Event} key=${`${event.version}${event.type}`} events=${events} at=${at} first=${first} />`)}</ol>
    ${order.payments?.length > 0 && html`<${Payments} payments=${order.payments} />`}</div>`;
  return html`<div class="story ${page ? "wide" : ""}">${head}${rest}</div>`;
}

const Close = ({ onClose }) => html`<button class="button icon-only close" title="${t("close")} (Esc)" aria-label=${t("close")} onClick=${onClose}><${Icon} name="close" /></button>`;
