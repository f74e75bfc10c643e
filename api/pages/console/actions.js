// Actions of an operator on an order: exactly those that the table of transitions allows in its status.
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { html } from "../client/html.js";
import { call, freshKey, read } from "../client/requests.js";
import { onKey } from "./keys.js";
import { mayAct } from "./live.js";
import { Failed } from "./states.js";
import { t } from "./words.js";

const READY_MIN = [5, 10, 15, 20, 30], READY_MAX_MIN = 600;

// Name, key, method, end of the path, the statuses in which it is legal, and the fields that it asks for.
export const ACTIONS = [
  { name: "assign", key: "a", method: "POST", path: "assignment", from: ["confirmed"], fields: ["driver"] },
  { name: "reassign", key: "a", method: "POST", path: "reassignment", from: ["assigned", "picked_up"], fields: ["driver", "reason"] },
  { name: "release", key: "r", method: "POST", path: "release", from: ["assigned"], fields: ["reason"] },
  { name: "ready", key: "y", method: "PUT", path: "ready-time", from: ["awaiting_payment", "confirmed", "assigned"], fields: ["minutes"] },
  { name: "conclude", key: "e", method: "POST", path: "conclusion", from: ["confirmed", "assigned", "picked_up"], fields: ["outcome", "reason"], danger: true },
  { name: "cancel", key: "c", method: "POST", path: "cancellation", from: ["awaiting_payment", "confirmed", "assigned"], fields: ["reason"], danger: true, matched: true },
];

export const legalIn = (status) => ACTIONS.filter((action) => action.from.includes(status));

function bodyOf(action, form) {
  const given = Object.fromEntries(new FormData(form)), body = {};
  if (action.fields.includes("driver")) body.driver_id = given.driver;
  if (action.fields.includes("outcome")) body.outcome = given.outcome;
  if (action.fields.includes("reason")) body.reason = given.reason.trim();
  if (action.fields.includes("minutes")) body.ready_at = new Date(Date.now() + Number(given.minutes) * 60_000).toISOString();
  return body;
}

const metres = (a, b) => Math.round(Math.hypot((a.lat - b.lat) * 110_574, (a.lon - b.lon) * 111_320 * Math.cos((a.lat * Math.PI) / 180)));

function DriverField({ order }) {
  const [state, setState] = useState({});
  useEffect(() => {
    read(`/api/v2/drivers?zone_id=${order.zone_id}&state=online&limit=100`).then((page) => setState({ drivers: page.items }), (problem) => setState({ problem }));
  }, []);
  if (state.problem) return html`<${Failed} problem=${state.problem} />`;
  const far = (driver) => (driver.location ? metres(order.store, driver.location) : Infinity);
  const drivers = (state.drivers ?? []).filter((driver) => driver.id !== order.driver_id && driver.carried < driver.capacity).sort((a, b) => far(a) - far(b));
  return html`<label class="field"><span>${t("field.driver")}</span><select class="input" name="driver" required aria-describedby="driver-hint">
    ${drivers.map((driver) => html`<option key=${driver.id} value=${driver.id}>${t("field.driver.option", { name: driver.name, id: driver.id, far: far(driver) === Infinity ? "?" : far(driver), load: driver.carried, capacity: driver.capacity })}</option>`)}</select>
    <small id="driver-hint">${state.drivers && drivers.length === 0 ? t("field.driver.none") : t("field.driver.hint")}</small></label>`;
}

const ReasonField = () => html`<label class="field"><span>${t("field.reason")}</span><textarea class="input" name="reason" required maxlength="200" aria-describedby="reason-hint"></textarea><small id="reason-hint">${t("field.reason.hint")}</small></label>`;

const OutcomeField = () => html`<label class="field"><span>${t("field.outcome")}</span><select class="input" name="outcome">${["delivered", "failed", "returned"].map((name) => html`<option key=${name} value=${name}>${t(`outcome.${name}`)}</option>`)}</select></label>`;

function MinutesField() {
  const input = useRef(null);
  return html`<div class="field"><label for="minutes">${t("field.minutes")}</label><input class="input num" id="minutes" name="minutes" type="number" min="0" max=${READY_MAX_MIN} value="10" required ref=${input} />
    <div class="chips">${READY_MIN.map((n) => html`<button key=${n} type="button" class="chip num" onClick=${() => { input.current.value = n; }}>${t("minutes", { n })}</button>`)}</div></div>`;
}

const FIELDS = { driver: DriverField, reason: ReasonField, outcome: OutcomeField, minutes: MinutesField };

function Dialog({ action, order, tag, onClose, onDone }) {
  const dialog = useRef(null), key = useRef(freshKey());
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState(null);
  useEffect(() => {
    dialog.current.showModal();
    dialog.current.querySelector("select, textarea, input")?.focus();
  }, []);
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      await call(action.method, `/api/v2/orders/${order.id}/${action.path}`, { body: bodyOf(action, event.target), key: key.current, match: action.matched ? tag : undefined });
      onDone(t(`done.${action.name}`, { id: order.id }));
    } catch (found) {
      // Another body under the same key would be refused; what may have been done is repeated under it.
      if (!found.passing) key.current = freshKey();
      setProblem(found);
      setBusy(false);
    }
  };
  return html`<dialog ref=${dialog} aria-labelledby="dialog-title" onClose=${onClose} onClick=${(event) => { if (event.target === dialog.current) onClose(); }}><form onSubmit=${submit} aria-busy=${busy}>
    <h2 id="dialog-title">${t(`action.${action.name}.title`, { id: order.id })}</h2><p>${t(`action.${action.name}.lead`)}</p>
    ${action.fields.map((name) => { const Field = FIELDS[name]; return html`<${Field} key=${name} order=${order} />`; })}
    ${problem && html`<${Failed} problem=${problem} />`}
    <div class="choices"><button type="button" class="button" onClick=${onClose}>${t("back")}</button><button class="button ${action.danger ? "danger" : "primary"}" disabled=${busy || !mayAct.value}>${busy ? t("busy.short") : t(`action.${action.name}`)}</button></div>
  </form></dialog>`;
}

export function Actions({ order, tag, onDone }) {
  const [open, setOpen] = useState(null);
  const [said, setSaid] = useState("");
  const legal = legalIn(order.status), off = !mayAct.value;
  const last = useRef(null);
  const begin = (action) => { last.current = document.activeElement; setSaid(""); setOpen(action); };
  // Before the buttons are seen, for a key may follow at once.
  useLayoutEffect(() => {
    const offs = legal.map((action) => onKey(action.key, () => { if (mayAct.value) begin(action); }));
    return () => offs.forEach((one) => one());
  }, [order.status]);
  const close = () => { setOpen(null); last.current?.focus?.(); };
  return html`<div class="actions">${legal.map((action) => html`<button key=${action.name} class="button ${action.danger ? "danger" : ""}" disabled=${off} title=${off ? t("actions.off") : null} aria-keyshortcuts=${action.key.toUpperCase()} onClick=${() => begin(action)}>${t(`action.${action.name}`)}<kbd aria-hidden="true">${action.key.toUpperCase()}</kbd></button>`)}
    <span class="said" role="status">${off && legal.length > 0 ? t("actions.off") : said}</span></div>
    ${open && html`<${Dialog} key=${open.name} action=${open} order=${order} tag=${tag} onClose=${close} onDone=${(text) => { close(); setSaid(text); onDone(); }} />`}`;
}
