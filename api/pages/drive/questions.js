// Questions at the store and at the door: the PIN and the cash of a delivery, and why one has failed.
import { useEffect, useRef, useState } from "preact/hooks";
import { html } from "../client/html.js";
import { Refusal } from "./notes.js";
import { Sheet } from "./sheet.js";
import { commandOf, deliver, fail, forgive } from "./shift.js";
import { money, t } from "./words.js";

const PIN_DIGITS = 4;
const REASONS = { assigned: ["store_closed", "not_ready", "out_of_stock", "vehicle", "other"], picked_up: ["nobody_home", "wrong_address", "refused", "damaged", "other"] };

// It closes by itself when the order has left the list: the delivery is in the log.
export function Deliver({ order, onDone }) {
  const [pin, setPin] = useState("");
  const input = useRef(null);
  const asked = Boolean(commandOf(order.order_id));
  useEffect(() => () => { onDone(); }, []);
  // After a refusal the next PIN is typed at once.
  useEffect(() => { if (!asked) input.current?.select(); }, [asked]);
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

export function Fail({ order, onDone }) {
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
