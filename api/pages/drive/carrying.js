// Carrying: the orders that the driver has, each with its next step, and what is asked at the store and at the door.
import { useEffect, useRef, useState } from "preact/hooks";
import { html } from "../client/html.js";
import { Refusal } from "./notes.js";
import { payOf, pickupsOf } from "./offers.js";
import { Sheet } from "./sheet.js";
import { carried, commandOf, deliver, fail, feedState, forgive, giveBack, now, pickUp, question } from "./shift.js";
import { atTime, distance, money, t } from "./words.js";

const SHAPE = "M10 2 18 10 10 18 2 10z";

// Blue: the driver has it. Hollow until it is picked up; a ring when it is late.
const Mark = ({ order, late }) => html`<svg class="glyph" width="28" height="28" viewBox="-4 -4 28 28" aria-hidden="true">
  ${late && html`<circle cx="10" cy="10" r="12.5" fill="none" stroke="var(--bad)" stroke-width="2" />`}
  <path d=${SHAPE} fill=${order.status === "picked_up" ? "var(--go)" : "none"} stroke="var(--go)" stroke-width="2.2" /></svg>`;

const stageOf = (order) => (order.returning ? "returning" : order.status === "picked_up" ? "door" : "store");

const Way = ({ to }) => html`<a class="button tall way" href=${`geo:${to.lat},${to.lon}?q=${to.lat},${to.lon}`}>${t("way")}</a>`;

const Pickups = ({ order }) => html`<ul class="stores">${pickupsOf([order]).map(({ store, numbers, readyMs, items }) => html`<li key=${store.id}>
  <div class="store"><b>${store.name}</b><span class="receipt num">${numbers.map((n) => t("number", { n })).join(" ")}</span></div>
  <span class="small num">${readyMs <= now.value ? t("ready") : t("ready.at", { time: atTime(readyMs) })}</span>
  <ul class="goods">${items.map((item, at) => html`<li key=${at} class="num">${item.quantity} × ${item.name}</li>`)}</ul></li>`)}</ul>`;

const Door = ({ order }) => html`<div class="door"><b class="address">${order.dropoff.address ?? t("address.none")}</b>
  ${order.contact?.name && html`<span>${order.contact.name}</span>`}
  ${order.contact?.phone && html`<a href=${`tel:${order.contact.phone}`}>${order.contact.phone}</a>`}
  ${order.notes && html`<p class="note">${order.notes}</p>`}
  <span class="small num">${t("from.store", { distance: distance(order.distance_m) })} · ${t("items", { n: order.items })}${order.pin ? ` · ${t("pin.short")}` : ""}</span>
  ${order.collect && html`<span class="cash num">${t("cash", { amount: money(order.collect) })}</span>`}</div>`;

function When({ order, late }) {
  const due = order.promised_at_ms ?? order.eta_ms;
  return due ? html`<span class=${`num ${late ? "bad" : ""}`}>${t(late ? "late" : "promised", { time: atTime(due) })}</span>` : null;
}

// The one thing to do next, and what else is possible.
const ACTIONS = {
  store: { name: "pickup", act: (order) => pickUp(order.order_id) },
  door: { name: "deliver", act: (order) => { question.value = { kind: "deliver", id: order.order_id }; } },
  returning: { name: "return", act: (order) => giveBack(order.order_id) },
};

function Actions({ order, stage, first }) {
  const asked = commandOf(order.order_id), live = feedState.value.connection === "live";
  const ask = (kind) => { question.value = { kind, id: order.order_id }; };
  // One button is the next thing to do; those of later stops are quieter.
  return html`<button class=${`button tall ${first ? "primary" : ""}`} disabled=${Boolean(asked)} onClick=${() => ACTIONS[stage].act(order)}>${asked ? t(live ? "sending" : "waiting") : t(ACTIONS[stage].name)}</button>
    <div class="pair"><${Way} to=${stage === "door" ? order.dropoff : order.store} />
    ${stage === "returning" ? html`<button class="button tall" disabled=${Boolean(asked)} onClick=${() => ask("deliver")}>${t("deliver.after")}</button>`
      : html`<button class="button tall" disabled=${Boolean(asked)} onClick=${() => ask("fail")}>${t("problem")}</button>`}</div>`;
}

function Card({ order, first, at, many }) {
  const stage = stageOf(order), late = order.promised_at_ms !== undefined && order.promised_at_ms < now.value;
  const { total } = payOf([order]), title = `order-${order.order_id}`;
  return html`<li><article class=${`card ${first ? "first" : ""}`} aria-labelledby=${title} data-order=${order.order_id}>
    <header><${Mark} order=${order} late=${late} /><div class="card-title"><h2 id=${title}>${t(`stage.${stage}`)}</h2><span class="small">${many > 1 ? t("stop.of", { n: at + 1, many }) : t("number", { n: order.number })}</span></div>
      <div class="card-end"><${When} order=${order} late=${late} />${total && html`<span class="small num">${money(total)}</span>`}</div></header>
    ${stage === "store" ? html`<${Pickups} order=${order} /><p class="to"><span class="small">${t("to")}</span> ${order.dropoff.address ?? t("address.none")}</p>`
      : stage === "door" ? html`<${Door} order=${order} />` : html`<p>${t("returning.why")}</p><${Pickups} order=${order} />`}
    ${question.value === null && html`<${Refusal} about=${order.order_id} />`}
    <${Actions} order=${order} stage=${stage} first=${first} />
  </article></li>`;
}

const PIN_DIGITS = 4;
const REASONS = { assigned: ["store_closed", "not_ready", "out_of_stock", "vehicle", "other"], picked_up: ["nobody_home", "wrong_address", "refused", "damaged", "other"] };

// It closes by itself when the order has left the list: the delivery is in the log.
function Deliver({ order, onDone }) {
  const [pin, setPin] = useState("");
  const input = useRef(null);
  const asked = Boolean(commandOf(order.order_id));
  useEffect(() => () => { onDone(); }, []);
  // After a refusal the next PIN is typed at once.
  useEffect(() => {
    if (asked) return;
    input.current?.focus();
    input.current?.select();
  }, [asked]);
  const send = (event) => {
    event.preventDefault();
    if (order.pin && pin.length !== PIN_DIGITS) { input.current.focus(); return; }
    void deliver(order.order_id, order.pin ? pin : null);
  };
  const digits = (event) => {
    forgive(order.order_id);
    setPin(event.currentTarget.value = event.currentTarget.value.replace(/\D/g, "").slice(0, PIN_DIGITS));
  };
  return html`<${Sheet} title=${t("deliver.title")} onClose=${onDone}><form class="asking" onSubmit=${send} noValidate>
    <b class="address">${order.dropoff.address ?? t("address.none")}</b>
    ${order.collect && html`<span class="cash num">${t("cash", { amount: money(order.collect) })}</span>`}
    ${order.pin && html`<label class="field pin"><span>${t("pin")}</span><input ref=${input} data-first="" class="input num" name="pin" inputmode="numeric" autocomplete="off" value=${pin} maxlength=${PIN_DIGITS} placeholder="0000" onInput=${digits} aria-describedby="pin-why" /><small id="pin-why">${t("pin.why")}</small></label>`}
    <${Refusal} about=${order.order_id} />
    <button class="button primary tall" disabled=${asked || (order.pin && pin.length !== PIN_DIGITS)}>${asked ? t("sending") : t(order.collect ? "deliver.cash" : "deliver")}</button>
  </form><//>`;
}

function Fail({ order, onDone }) {
  const carried = order.status === "picked_up";
  const reasons = REASONS[carried ? "picked_up" : "assigned"];
  const [reason, setReason] = useState(null);
  useEffect(() => () => { onDone(); }, []);
  const send = (returning) => {
    forgive(order.order_id);
    void fail(order.order_id, reason, returning);
    onDone();
  };
  const why = html`<fieldset class="reasons"><legend>${t("fail.why")}</legend>${reasons.map((one, at) => html`<label key=${one}><input type="radio" name="reason" data-first=${at === 0 ? "" : null} checked=${one === reason} onChange=${() => setReason(one)} /><span>${t(`fail.${one}`)}</span></label>`)}</fieldset>`;
  return html`<${Sheet} title=${t("problem.title")} onClose=${onDone}><div class="asking">${why}
    ${carried && html`<button class="button primary tall" disabled=${reason === null} onClick=${() => send(true)}>${t("fail.back")}</button>`}
    <button class="button danger tall" disabled=${reason === null} onClick=${() => send(false)}>${t(carried ? "fail.end" : "fail.store")}</button>
    <p class="small">${t(carried ? "fail.end.why" : "fail.store.why")}</p></div><//>`;
}

export function Carrying() {
  const asked = question.value, about = asked && feedState.value.orders[asked.id];
  const done = () => { question.value = null; };
  return html`<section aria-label=${t("carrying", { n: carried.value.length })}><ol class="cards">${carried.value.map((order, at) => html`<${Card} key=${order.order_id} order=${order} first=${at === 0} at=${at} many=${carried.value.length} />`)}</ol></section>
    ${about && asked.kind === "deliver" && html`<${Deliver} order=${about} onDone=${done} />`}
    ${about && asked.kind === "fail" && html`<${Fail} order=${about} onDone=${done} />`}`;
}
