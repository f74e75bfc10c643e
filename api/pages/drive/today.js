// Today: what was delivered, what it has brought, and the cash that was collected.
import { useEffect, useState } from "preact/hooks";
import { html } from "../client/html.js";
import { read } from "../client/requests.js";
import { Failed } from "./notes.js";
import { feedState } from "./shift.js";
import { atTime, money, sum, t } from "./words.js";

const ORDERS_MAX = 100;
const SHOWN_AFTER_MS = 150;
// An order may be placed long before the day on which it is delivered.
const BEFORE_MS = 7 * 86_400_000;

const midnight = () => new Date().setHours(0, 0, 0, 0);

async function readToday(signal) {
  const after = new Date(midnight() - BEFORE_MS).toISOString();
  const page = await read(`/api/v2/orders?status=delivered,undeliverable&created_after=${after}&limit=${ORDERS_MAX}`, { signal });
  return page.items.filter((order) => Date.parse(order.updated_at) >= midnight()).sort((a, b) => Date.parse(b.updated_at) - Date.parse(a.updated_at));
}

const delivered = (orders) => orders.filter((order) => order.status === "delivered");

const Sums = ({ orders }) => {
  const done = delivered(orders);
  const pay = sum(done.flatMap((order) => [order.pay, order.tip])), cash = sum(done.filter((order) => order.payment === "cash").map((order) => order.total));
  return html`<dl class="sums"><div><dt>${t("today.deliveries")}</dt><dd class="num">${done.length}</dd></div>
    <div><dt>${t("today.pay")}</dt><dd class="num">${pay ? money(pay) : "–"}</dd></div><div><dt>${t("today.cash")}</dt><dd class="num">${cash ? money(cash) : "–"}</dd></div></dl>`;
};

const Line = ({ order }) => {
  const pay = sum([order.pay, order.tip]), done = order.status === "delivered";
  return html`<li class="line"><span class="num">${atTime(Date.parse(order.updated_at))}</span><span class="row-text"><b>${order.pickups.map(({ store }) => store.name).join(" + ")}</b><span class=${done ? "" : "bad"}>${t(`today.${order.status}`)} · ${t("number", { n: order.number })}</span></span><span class="row-end num">${done && pay ? money(pay) : "–"}</span></li>`;
};

function Skeleton() {
  const [late, setLate] = useState(false);
  useEffect(() => { const timer = setTimeout(() => setLate(true), SHOWN_AFTER_MS); return () => clearTimeout(timer); }, []);
  return html`<div aria-busy="true"><span class="sr" role="status">${t("loading")}</span>${late && [0, 1, 2, 3].map((n) => html`<span key=${n} class="skeleton"></span>`)}</div>`;
}

export function Today() {
  const [found, setFound] = useState({ busy: true });
  const [round, setRound] = useState(0);
  const ended = feedState.value.log.filter(({ type }) => type === "order.delivered" || type === "order.undeliverable").at(-1)?.seq;
  useEffect(() => {
    const left = new AbortController();
    const unlessLeft = (next) => { if (!left.signal.aborted) setFound(next); };
    readToday(left.signal).then((orders) => unlessLeft(() => ({ orders })), (problem) => unlessLeft((before) => ({ orders: before.orders, problem })));
    return () => left.abort();
  }, [round, ended]);
  const { orders, problem, busy } = found;
  return html`<div class="today">${problem && html`<${Failed} problem=${problem} onAgain=${() => setRound(round + 1)} />`}
    ${busy && html`<${Skeleton} />`}
    ${orders && html`<${Sums} orders=${orders} />`}
    ${orders?.length === 0 && html`<div class="hero"><h2>${t("today.empty")}</h2><p>${t("today.empty.why")}</p></div>`}
    ${orders?.length > 0 && html`<ul class="lines">${orders.map((order) => html`<${Line} key=${order.id} order=${order} />`)}</ul>`}</div>`;
}
