// Orders: a table whose filters are in the address, and the page of one order.
import { html } from "../client/html.js";
import { read } from "../client/requests.js";
import { OrderGlyph, TONES } from "./glyphs.js";
import { learnDrivers, names } from "./lookups.js";
import { go, setQuery } from "./router.js";
import { Shell } from "./shell.js";
import { Empty, Failed, Loading, useReading } from "./states.js";
import { Story } from "./story.js";
import { LivePill } from "./live_pill.js";
import { atDay, atTime, money, t } from "./words.js";
import { readZones } from "./zones.js";

const STATUSES = Object.keys(TONES), PAGE = 50;
const SINCE_H = { "1h": 1, "24h": 24, "7d": 168 };
const KNOWN = /^(zon|sto|drv)_[1-9]\d*$/;

function queryOf(query) {
  const asked = new URLSearchParams({ limit: PAGE }), statuses = (query.get("status") ?? "").split(",").filter((name) => STATUSES.includes(name));
  if (statuses.length) asked.set("status", statuses.join(","));
  for (const [name, field] of [["zone", "zone_id"], ["store", "store_id"], ["driver", "driver_id"]]) if (KNOWN.test(query.get(name) ?? "")) asked.set(field, query.get(name));
  const hours = SINCE_H[query.get("since")];
  // To the minute, so that the same page has the same address for a while.
  if (hours) asked.set("created_after", new Date(Math.floor(Date.now() / 60_000 - hours * 60) * 60_000).toISOString());
  if (query.get("cursor")) { asked.set("cursor", query.get("cursor")); if (query.get("from")) asked.set("created_after", query.get("from")); }
  return asked;
}

async function readOrders(asked, signal) {
  const page = await read(`/api/v2/orders?${asked}`, { signal });
  for (const zone of new Set(page.items.map((order) => order.zone_id))) void learnDrivers(zone).catch(() => {});
  return page;
}

const OPEN = new Set(["awaiting_payment", "confirmed", "assigned", "picked_up"]);
const lateOf = (order) => order.promised_at && (OPEN.has(order.status) ? Date.now() : order.status === "delivered" ? Date.parse(order.updated_at) : 0) > Date.parse(order.promised_at);

const Row = ({ order }) => html`<tr onClick=${(event) => { if (!event.target.closest("a")) go(`/console/orders/${order.id}`); }}>
  <td><a class="order-link" href=${`/console/orders/${order.id}`}><${OrderGlyph} status=${order.status} late=${lateOf(order) && OPEN.has(order.status)} size=${20} />${order.id}</a></td>
  <td><span class=${TONES[order.status][0]}>${t(`status.${order.status}`)}</span></td><td>${order.store.name}</td><td>${order.dropoff.address}</td>
  <td>${order.driver_id ? names.value.get(order.driver_id) ?? order.driver_id : "–"}</td><td class="num right">${money(order.total)}</td>
  <td class="num">${atDay(order.created_at)}</td><td class="num ${lateOf(order) ? "bad" : ""}">${order.promised_at ? atTime(order.promised_at) : "–"}${lateOf(order) ? ` · ${t("late")}` : ""}</td></tr>`;

function Filters({ query }) {
  const zones = useReading(readZones, []);
  const chosen = new Set((query.get("status") ?? "").split(",").filter(Boolean));
  const flip = (name) => { const next = new Set(chosen); if (!next.delete(name)) next.add(name); setQuery({ status: [...next].join(","), cursor: null, from: null }); };
  const find = (event) => {
    event.preventDefault();
    const text = new FormData(event.target).get("id").trim().replace(/^(\d+)$/, "ord_$1");
    if (/^ord_[1-9]\d*$/.test(text)) go(`/console/orders/${text}`);
    else if (KNOWN.test(text)) setQuery({ [{ zon: "zone", sto: "store", drv: "driver" }[text.slice(0, 3)]]: text, cursor: null, from: null });
  };
  return html`<div class="filters"><form class="finder" role="search" onSubmit=${find}><label class="sr" for="find">${t("find")}</label><input class="input" id="find" name="id" type="search" placeholder=${t("find.hint")} /></form>
    <label class="inline"><span class="sr">${t("zones")}</span><select class="input" value=${query.get("zone") ?? ""} onChange=${(event) => setQuery({ zone: event.target.value, cursor: null, from: null })}><option value="">${t("zones.all")}</option>${(zones.value ?? []).map((zone) => html`<option key=${zone.id} value=${zone.id}>${zone.name}</option>`)}</select></label>
    <label class="inline"><span class="sr">${t("since")}</span><select class="input" value=${query.get("since") ?? ""} onChange=${(event) => setQuery({ since: event.target.value, cursor: null, from: null })}><option value="">${t("since.all")}</option>${Object.keys(SINCE_H).map((name) => html`<option key=${name} value=${name}>${t(`since.${name}`)}</option>`)}</select></label>
    <div class="chips" role="group" aria-label=${t("order.status")}>${STATUSES.map((name) => html`<button key=${name} class="chip" aria-pressed=${chosen.has(name)} onClick=${() => flip(name)}><${OrderGlyph} status=${name} size=${14} />${t(`status.${name}`)}</button>`)}
    ${["store", "driver"].filter((name) => query.get(name)).map((name) => html`<button key=${name} class="chip" aria-pressed="true" onClick=${() => setQuery({ [name]: null, cursor: null, from: null })}>${names.value.get(query.get(name)) ?? query.get(name)} ×<span class="sr"> ${t("remove")}</span></button>`)}</div></div>`;
}

const COLUMNS = ["id", "status", "from", "to", "driver", "total", "placed", "promised"];

function Orders({ query }) {
  const asked = queryOf(query), found = useReading((signal) => readOrders(asked, signal), [asked.toString()]);
  const items = found.value?.items, any = ["status", "zone", "store", "driver", "since"].some((name) => query.get(name));
  return html`<${Shell} title=${t("orders")} current="orders" top=${html`<button class="button" onClick=${found.again} disabled=${found.busy}>${t("refresh")}</button>`}><div class="listing"><${Filters} query=${query} />
    ${found.problem && html`<div class="pad"><${Failed} problem=${found.problem} onAgain=${found.again} /></div>`}
    ${found.busy && !items && html`<div class="pad"><${Loading} rows=${10} /></div>`}
    ${items?.length === 0 && html`<${Empty} title=${t("orders.empty")} why=${t(any ? "orders.empty.filtered" : "orders.empty.why")} />`}
    ${items?.length > 0 && html`<div class="scroll" tabindex="0" role="region" aria-label=${t("orders")}><table class="table" aria-busy=${found.busy}><thead><tr>${COLUMNS.map((name) => html`<th key=${name} scope="col" class=${name === "total" ? "right" : ""}>${t(`order.${name}`)}</th>`)}</tr></thead>
      <tbody>${items.map((order) => html`<${Row} key=${order.id} order=${order} />`)}</tbody></table></div>
      <div class="pages">${query.get("cursor") && html`<button class="button" onClick=${() => history.back()}>${t("page.before")}</button>`}<span class="grow"></span>
      ${found.value.next && html`<button class="button" onClick=${() => setQuery({ cursor: found.value.next, from: asked.get("created_after") }, {})}>${t("page.next")}</button>`}</div>`}
  </div><//>`;
}

const OneOrder = ({ id }) => html`<${Shell} title=${id} current="orders" back=${{ href: "/console/orders", text: t("orders.all") }} top=${html`<span class="grow"></span><${LivePill} />`}>
  <div class="one"><${Story} key=${id} id=${id} page /></div><//>`;

export const OrdersView = ({ rest: [id], query }) => (id ? html`<${OneOrder} id=${id} />` : html`<${Orders} query=${query} />`);
