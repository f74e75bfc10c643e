// Live map of a zone: KPIs that are filters, what needs attention, the map, and the story of the selected order.
import { useEffect, useRef, useState } from "preact/hooks";
import { Icon } from "../client/icons.js";
import { html } from "../client/html.js";
import { theme } from "../client/theme.js";
import { Attention } from "./attention.js";
import { DriverGlyph, OrderGlyph, StoreGlyph } from "./glyphs.js";
import { onKey } from "./keys.js";
import { beat, counts, link, picture, useZone } from "./live.js";
import { LivePill } from "./live_pill.js";
import { driverName, learnDrivers, storeName, storesOf, zoneOf } from "./lookups.js";
import { FILTERS, ZoneMap } from "./map.js";
import { STATUSES } from "./picture.js";
import { go, setQuery } from "./router.js";
import { Shell } from "./shell.js";
import { Failed, Loading, useReading } from "./states.js";
import { Story } from "./story.js";
import { number, t } from "./words.js";

const KPIS = [["waiting", "act"], ["assigned", "go"], ["picked_up", "go"], ["late", "bad"], ["free", "ok"]];

function Kpis({ filter }) {
  const now = counts.value;
  return html`<div class="kpis" role="group" aria-label=${t("kpi.filters")}>${KPIS.map(([name, tone]) => html`
    <button key=${name} class="kpi" aria-pressed=${filter === name} onClick=${() => setQuery({ f: filter === name ? null : name })}>
      <b class="num ${tone}">${now ? number.format(now[name]) : "–"}</b>
      <span>${name === "free" && now ? t("kpi.freeof", { n: number.format(now.online) }) : t(`kpi.${name}`)}</span></button>`)}</div>`;
}

const Legend = () => html`<div class="panel legend" role="group" aria-label=${t("legend")}>
  <div><${OrderGlyph} status="confirmed" size=${16} />${t("legend.waiting")}</div><div><${OrderGlyph} status="assigned" size=${16} />${t("legend.assigned")}</div><div><${OrderGlyph} status="picked_up" size=${16} />${t("legend.picked_up")}</div>
  <div><${DriverGlyph} doing=${0} />${t("legend.free")}</div><div><${DriverGlyph} doing=${1} />${t("legend.fetching")}</div><div><${DriverGlyph} doing=${2} />${t("legend.delivering")}</div>
  <div><${OrderGlyph} status="assigned" late size=${16} />${t("legend.late")}</div><div><${StoreGlyph} />${t("legend.store")}</div></div>`;

function Tip({ found, at, stores }) {
  beat.value;
  const order = found.kind === "order" && picture.orders.get(found.id), driver = found.kind === "driver" && picture.drivers.get(found.id), store = found.kind === "store" && stores.find((s) => s.number === found.id);
  const lines = order ? [`ord_${order.id}`, `${storeName(order.store)} → ${order.address}`, t(`status.${STATUSES[order.status]}`)]
    : driver ? [driverName(driver.id) ?? `drv_${driver.id}`, `drv_${driver.id} · ${t(`doing.${driver.doing}`)}`, t("driver.load", { load: driver.load, capacity: driver.capacity })]
    : store ? [store.name, store.id] : null;
  if (!lines) return null;
  return html`<div class="tip" style=${{ transform: `translate(${at[0] + 16}px, ${at[1] - 12}px)` }}><b>${lines[0]}</b>${lines.slice(1).map((line) => html`<span>${line}</span>`)}</div>`;
}

const SCALES = [20, 50, 100, 200, 500, 1000, 2000, 5000];
const Scale = ({ map }) => {
  const k = map?.view.k ?? 0.2, metres = SCALES.find((m) => m * k > 60) ?? SCALES.at(-1);
  return html`<div class="scale num" aria-hidden="true">${metres < 1000 ? `${metres} m` : `${metres / 1000} km`}<i style=${{ width: `${metres * k}px` }}></i></div>`;
};

function Stage({ zone, stores, filter, selected, onPick }) {
  const stage = useRef(null), map = useRef(null), pick = useRef(onPick);
  const [hover, setHover] = useState(null);
  pick.current = onPick;
  useEffect(() => {
    const made = map.current = new ZoneMap(stage.current, picture, {
      onPick: (found) => { if (found?.kind === "order") pick.current(found.id); else if (!found) pick.current(null); },
      onHover: (found, at) => setHover(found && { found, at }),
    });
    return () => made.end();
  }, []);
  useEffect(() => map.current.load(zone.area, stores), [zone, stores]);
  useEffect(() => map.current.show({ filter: FILTERS[filter] ?? null, selected }), [filter, selected]);
  useEffect(() => map.current.theme(), [theme.value]);
  useEffect(() => map.current.ticked(), [beat.value]);
  const zoom = (factor) => () => (factor ? map.current.zoom(factor) : map.current.fit());
  return html`<div class="map is-${link.value.state}">
    <div class="stage" ref=${stage} tabindex="0" role="application" aria-label=${t("map.label", { zone: zone.name })} aria-keyshortcuts="ArrowUp ArrowDown ArrowLeft ArrowRight + - 0">
      <canvas aria-hidden="true"></canvas><canvas aria-hidden="true"></canvas>
      ${hover && html`<${Tip} ...${hover} stores=${stores} />`}
      <${Legend} /><${Scale} map=${map.current} />
      <div class="panel zoom"><button class="button icon-only" aria-label=${t("map.in")} onClick=${zoom(1.4)}><${Icon} name="plus" /></button><button class="button icon-only" aria-label=${t("map.out")} onClick=${zoom(1 / 1.4)}><${Icon} name="minus" /></button><button class="button icon-only" aria-label=${t("map.fit")} onClick=${zoom(0)}><${Icon} name="fit" /></button></div>
    </div></div>`;
}

export function ZoneView({ rest: [id], query }) {
  const filter = KPIS.some(([name]) => name === query.get("f")) ? query.get("f") : null;
  const selected = /^ord_[1-9]\d*$/.test(query.get("sel") ?? "") ? Number(query.get("sel").slice(4)) : null;
  useZone(id);
  const found = useReading(() => Promise.all([zoneOf(id), storesOf(id), learnDrivers(id)]), [id]);
  useEffect(() => onKey("Escape", () => setQuery({ sel: null })), []);
  const pick = (order) => setQuery({ sel: order === null ? null : `ord_${order}` });
  const [zone, stores] = found.value ?? [];
  const top = html`<${Kpis} filter=${filter} /><span class="grow"></span><${LivePill} />`;
  return html`<${Shell} title=${zone?.name ?? t("map")} top=${top} current="">
    ${found.problem && html`<div class="page"><${Failed} problem=${found.problem} onAgain=${found.again} /></div>`}
    ${found.busy && !zone && html`<div class="page"><${Loading} rows=${8} /></div>`}
    ${zone && html`<div class="zone ${selected === null ? "" : "with-story"}">
      <${Attention} filter=${filter} selected=${selected} zone=${id} onPick=${pick} onOpen=${(order) => go(`/console/orders/ord_${order}`)} />
      <${Stage} zone=${zone} stores=${stores} filter=${filter} selected=${selected} onPick=${pick} />
      ${selected !== null && html`<aside class="aside" aria-label=${t("story.of", { id: `ord_${selected}` })}><${Story} key=${selected} id=${`ord_${selected}`} onClose=${() => pick(null)} /></aside>`}
    </div>`}<//>`;
}
