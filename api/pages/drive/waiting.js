// Waiting: on and off shift, and offers that are open.
import { useState } from "preact/hooks";
import { html } from "../client/html.js";
import { Icon } from "../client/icons.js";
import { Losses, Refusal } from "./notes.js";
import { look } from "./offer_sheet.js";
import { payOf, pickupsOf } from "./offers.js";
import { position } from "./positions.js";
import { alive, availabilityAsked, carried, commandOfOffer, feedState, goOffline, goOnline, now, offers, shiftEndsMs } from "./shift.js";
import { atTime, distance, money, t } from "./words.js";

const HOURS = [2, 4, 6, 8];
const HOUR_MS = 3_600_000;

function OffShift() {
  const [hours, setHours] = useState(4);
  const asked = availabilityAsked.value === "online";
  const ends = hours === null ? null : now.value + hours * HOUR_MS;
  return html`<section class="hero" aria-labelledby="off"><h2 id="off">${t("off")}</h2><p>${t("off.why")}</p>
    <fieldset class="hours"><legend>${t("shift.ends")}</legend><div>
      ${[...HOURS, null].map((one) => html`<label key=${one}><input type="radio" name="hours" checked=${one === hours} onChange=${() => setHours(one)} /><span>${one === null ? t("shift.open") : t("hours", { n: one })}</span></label>`)}
    </div><p class="small num">${ends === null ? t("shift.open.why") : t("shift.until", { time: atTime(ends) })}</p></fieldset>
    <button class="button primary tall" disabled=${asked} onClick=${() => goOnline(ends && Math.round(ends))}>${asked ? t("sending") : t("online.go")}</button>
  </section>`;
}

const Offer = ({ offer }) => {
  const { total } = payOf(offer.orders), [first] = offer.orders;
  const asked = commandOfOffer(offer.orders.map((order) => order.order_id));
  return html`<li><button class="row" onClick=${() => look(offer.key)} disabled=${Boolean(asked)}>
    <svg class="glyph" width="20" height="20" viewBox="0 0 20 20" aria-hidden="true"><path d="M10 2 18 10 10 18 2 10z" fill="none" stroke="var(--act)" stroke-width="2" /></svg>
    <span class="row-text"><b>${pickupsOf(offer.orders).map(({ store }) => store.name).join(" + ")}</b><span>${t("offer.short", { n: offer.orders.length, distance: distance(first.distance_m) })}</span></span>
    <span class="row-end">${total && html`<b class="num">${money(total)}</b>`}<span class="num">${asked ? t("sending") : offer.expiresMs ? t("seconds", { n: Math.ceil((offer.expiresMs - now.value) / 1000) }) : ""}</span></span>
  </button></li>`;
};

function OnShift() {
  const asked = availabilityAsked.value === "offline";
  const { reach, queue } = feedState.value, { state } = position.value;
  const free = carried.value.length === 0 && offers.value.length === 0;
  return html`${free && html`<section class="hero" aria-labelledby="on"><span class="beacon" aria-hidden="true"><${Icon} name="drivers" /></span><h2 id="on">${t("on")}</h2><p>${t(state === "denied" || state === "missing" ? "on.lost" : "on.why")}</p>${queue && html`<span class="pill go" role="status">${t("queue", { n: queue })}</span>`}</section>`}
    ${reach === "unreachable" && html`<div class="note bad" role="alert"><b>${t("unheard")}</b><span>${t("unheard.why")}</span><button class="button" onClick=${alive}>${t("unheard.here")}</button></div>`}
    ${(state === "denied" || state === "missing") && html`<div class="note bad" role="alert"><b>${t(`position.${state}`)}</b><span>${t("position.why")}</span></div>`}
    <section class="shift-end" aria-label=${t("tab.shift")}><div><span class="on num"><span class="dot" aria-hidden="true"></span>${shiftEndsMs.value ? t("shift.until.on", { time: atTime(shiftEndsMs.value) }) : t("shift.open.on")}</span><span class="small">${t("position.line", { state: t(`position.${state}`) })}</span></div>
      <button class="button tall" disabled=${asked} onClick=${goOffline}>${asked ? t("sending") : t("offline.go")}</button></section>`;
}

export function Waiting() {
  const online = feedState.value.status === "online";
  return html`<${Losses} /><${Refusal} about="shift" />
    ${offers.value.length > 0 && html`<section aria-labelledby="offers"><h2 id="offers" class="list-head">${t("offers", { n: offers.value.length })}</h2><ul class="rows">${offers.value.map((offer) => html`<${Offer} key=${offer.key} offer=${offer} />`)}</ul></section>`}
    ${online ? html`<${OnShift} />` : html`<${OffShift} />`}`;
}
