// Offer sheet: what is offered, for how long, and the two answers.
import { useEffect, useState } from "preact/hooks";
import { signal } from "@preact/signals";
import { html } from "../client/html.js";
import { metresBetween, payOf, pickupsOf } from "./offers.js";
import { position } from "./positions.js";
import { Sheet } from "./sheet.js";
import { accept, commandOfOffer, decline, feedState, inFront, now, offers, question, seen } from "./shift.js";
import { atTime, distance, money, sum, t } from "./words.js";

const REASONS = ["far", "pay", "vehicle", "break", "other"];
const SOON_S = 10;
// Offers that were put aside; they stay in the list of the shift until they end.
const aside = signal(new Set());
const chosen = signal(null);
const ASIDE_MAX = 100;

export const look = (key) => { chosen.value = key; };

function putAside(key) {
  chosen.value = null;
  aside.value = new Set([...aside.value, key].slice(-ASIDE_MAX));
}

const idsOf = (offer) => offer.orders.map((order) => order.order_id);

// The chosen one, else the first offer that was not put aside. A board is not forced upon anybody.
function shown() {
  const open = offers.value.filter((offer) => commandOfOffer(idsOf(offer))?.frame.t !== "offer.decline");
  return open.find((offer) => offer.key === chosen.value) ?? open.find((offer) => !offer.open && !aside.value.has(offer.key));
}

const Square = () => html`<svg class="glyph" width="20" height="20" viewBox="0 0 20 20" aria-hidden="true"><rect x="4" y="4" width="12" height="12" rx="2" fill="currentColor" /></svg>`;
const Diamond = () => html`<svg class="glyph go" width="20" height="20" viewBox="0 0 20 20" aria-hidden="true"><path d="M10 2 18 10 10 18 2 10z" fill="none" stroke="currentColor" stroke-width="2" /></svg>`;

// How long it takes until it is ready, or that it is.
const readyText = (readyMs) => (readyMs <= now.value ? t("ready") : t("ready.at", { time: atTime(readyMs) }));

function Stops({ orders }) {
  const { place } = position.value;
  return html`<ol class="stops">
    ${pickupsOf(orders).map(({ store, numbers, readyMs }) => html`<li key=${store.id}><${Square} /><div><b>${store.name}</b><span class="num">${readyText(readyMs)} · ${numbers.map((n) => t("number", { n })).join(" ")}${place && ` · ${t("from.you", { distance: distance(metresBetween(place, store)) })}`}</span></div></li>`)}
    ${orders.map((order, at) => html`<li key=${order.order_id}><${Diamond} /><div><b>${orders.length > 1 ? t("customer.of", { n: at + 1 }) : t("customer")}</b>
      <span class="num">${t("about.from.store", { distance: distance(order.distance_m) })} · ${t("items", { n: order.items })}${order.pin ? ` · ${t("pin.short")}` : ""}${order.promised_at_ms ? ` · ${t("promised", { time: atTime(order.promised_at_ms) })}` : ""}</span></div></li>`)}
  </ol>`;
}

function Countdown({ offer }) {
  const left = Math.max(0, Math.ceil((offer.expiresMs - now.value) / 1000));
  // The first sight of the offer is a full bar.
  const [whole] = useState(Math.max(1, left));
  return html`<div class=${`countdown ${left <= SOON_S ? "bad" : ""}`}><span class="num" role="timer" aria-label=${t("seconds.left", { n: left })}>${left} s</span><span class="bar" aria-hidden="true"><span style=${{ width: `${(100 * left) / whole}%` }}></span></span></div>`;
}

const Reasons = ({ onChoose, onBack }) => html`<p>${t("decline.why")}</p><div class="why-not">${REASONS.map((reason, at) => html`<button key=${reason} class="button tall" data-first=${at === 0 ? "" : null} onClick=${() => onChoose(reason)}>${t(`decline.${reason}`)}</button>`)}
  <button class="button tall quiet" onClick=${onBack}>${t("back")}</button></div>`;

function Answers({ offer, onDecline }) {
  const asked = commandOfOffer(idsOf(offer)), live = feedState.value.connection === "live";
  return html`${asked && html`<p class="note" role="status">${t(live ? "accept.busy" : "accept.kept")}</p>`}
    <div class="pair">${!offer.open && html`<button class="button tall" disabled=${Boolean(asked)} onClick=${onDecline}>${t("decline")}</button>`}
    <button class="button primary tall" disabled=${Boolean(asked)} onClick=${() => accept(offer)}>${asked ? t("sending") : t(offer.tripId && offer.orders.length > 1 ? "accept.trip" : "accept")}</button></div>`;
}

function Open({ offer }) {
  const [declining, setDeclining] = useState(false);
  const looked = feedState.value.connection === "live" && inFront.value;
  useEffect(() => { if (looked) seen(offer); }, [offer.key, looked]);
  useEffect(() => { if (navigator.userActivation?.hasBeenActive) navigator.vibrate?.([180, 80, 180]); }, [offer.key]);
  const { total, tips } = payOf(offer.orders), cash = sum(offer.orders.map((order) => order.collect));
  const title = offer.orders.length > 1 ? t("offer.trip", { n: offer.orders.length }) : t("offer");
  return html`<${Sheet} title=${title} onClose=${() => putAside(offer.key)} aside=${offer.expiresMs && html`<${Countdown} offer=${offer} />`}>
    <div class="pay"><b class="num">${total ? money(total) : t("pay.none")}</b><span>${tips ? t("pay.tip", { amount: money(tips) }) : t(total ? "pay.yours" : "pay.none.why")}</span>
      ${cash && html`<span class="cash num">${t("cash", { amount: money(cash) })}</span>`}</div>
    <${Stops} orders=${offer.orders} />
    ${declining ? html`<${Reasons} onChoose=${(reason) => decline(offer, reason)} onBack=${() => setDeclining(false)} />` : html`<${Answers} offer=${offer} onDecline=${() => setDeclining(true)} />`}
  <//>`;
}

export function OfferSheet() {
  const offer = shown();
  // An offer does not interrupt who is typing a PIN; it waits in the list.
  return offer && question.value === null && html`<${Open} key=${offer.key} offer=${offer} />`;
}
