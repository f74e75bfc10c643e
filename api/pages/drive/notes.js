// Notes: what has failed, what was refused.
import { html } from "../client/html.js";
import { forgive, losses, refusals, understood } from "./shift.js";
import { t, wordsOf } from "./words.js";

const textOf = (problem) => {
  if (problem.status === 0) return [t("unreachable"), t("unreachable.why")];
  if (problem.status === 429 || problem.status === 503) return [problem.title || t("failed"), t("busy")];
  return [problem.title || t("failed"), problem.detail || problem.errors?.[0]?.detail || ""];
};

export function Failed({ problem, onAgain }) {
  const [title, why] = textOf(problem);
  return html`<div class="note bad" role="alert"><b>${title}</b>${why && html`<span>${why}</span>`}
    ${problem.traceId && html`<span class="trace">${t("trace", { id: problem.traceId })}</span>`}
    ${onAgain && html`<button class="button" onClick=${onAgain}>${t("again")}</button>`}</div>`;
}

// Why the last command about an order, or about the shift, had no effect.
export const Refusal = ({ about }) => {
  const code = refusals.value[about];
  return code && html`<div class="note bad refusal" role="alert"><span>${wordsOf(code)}</span><button class="button" onClick=${() => forgive(about)}>${t("understood")}</button></div>`;
};

// Orders that the driver no longer has, and why.
export const Losses = () => losses.value.map((loss) => html`<div key=${loss.order.order_id} class="note bad refusal" role="alert">
  <span><b>${t(loss.type, { n: loss.order.number, store: loss.order.store.name })}</b>${loss.reason && html`<br />${loss.reason}`}</span><button class="button" onClick=${() => understood(loss)}>${t("understood")}</button></div>`);
