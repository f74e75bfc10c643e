// Needs attention: the open orders of a zone, the most urgent first, and free drivers under their filter.
import { signal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import { html } from "../client/html.js";
import { DriverGlyph, OrderGlyph } from "./glyphs.js";
import { onKey } from "./keys.js";
import { beat, picture } from "./live.js";
import { driverName, storeName, wonderAbout } from "./lookups.js";
import { FILTERS } from "./map.js";
import { STATUSES, isLate, lateness } from "./picture.js";
import { lasting, number, t } from "./words.js";

const ROWS_MAX = 150;

export const held = signal(false); // rows do not move under a hand

function urgency(order, now) {
  const late = lateness(order, now);
  if (late !== null && late > 0) return -1e9 - late;
  if (order.status === 0) return -1e6 - (now / 1000 - order.since);
  if (order.promised && order.expected > order.promised) return -1e5 - (order.expected - order.promised);
  return order.created;
}

export function urgent(filter) {
  const now = picture.now(), passes = FILTERS[filter]?.order;
  if (filter === "free") return [];
  return [...picture.orders.values()].filter((order) => !passes || passes(order, now)).sort((a, b) => urgency(a, now) - urgency(b, now));
}

const free = () => [...picture.drivers.values()].filter((driver) => driver.load === 0).sort((a, b) => a.id - b.id);

function OrderRow({ order, selected, zone, onPick }) {
  const now = picture.now(), late = isLate(order, now), driver = order.driver && driverName(order.driver);
  if (order.driver && driver === undefined) wonderAbout(zone);
  const who = order.driver ? driver ?? `drv_${order.driver}` : t("row.search", { wave: order.wave, n: order.asked });
  return html`<div class="row" role="option" id=${`row-${order.id}`} aria-selected=${selected} onClick=${() => onPick(order.id)}>
    <${OrderGlyph} status=${STATUSES[order.status]} late=${late} />
    <b>${storeName(order.store)} → ${order.address}</b>
    <span class="age num ${late ? "bad" : ""}">${late ? `+${lasting(lateness(order, now))}` : lasting(now / 1000 - order.created)}</span>
    <span class="sub">ord_${order.id} · ${who}</span>
    <span class="st ${order.status === 0 ? "act" : "go"}">${t(`status.${STATUSES[order.status]}`)}</span></div>`;
}

const DriverRow = ({ driver }) => html`<div class="row" role="option" aria-selected="false"><${DriverGlyph} doing=${driver.doing} size=${20} />
  <b>${driverName(driver.id) ?? `drv_${driver.id}`}</b><span class="age num">${driver.load}/${driver.capacity}</span><span class="sub">drv_${driver.id}</span><span class="st ok">${t("doing.0")}</span></div>`;

const kept = { rows: [] };

export function Attention({ filter, selected, zone, onPick, onOpen }) {
  beat.value;
  const box = useRef(null), drivers = filter === "free";
  const fresh = drivers ? free() : urgent(filter);
  const same = held.value && kept.filter === filter;
  // Held rows stay where they are, as long as they are there.
  const rows = same ? kept.rows.map((row) => (drivers ? picture.drivers : picture.orders).get(row.id)).filter(Boolean) : fresh;
  kept.rows = rows;
  kept.filter = filter;
  const shown = rows.slice(0, ROWS_MAX);

  const move = (by) => {
    if (drivers || !rows.length) return;
    const at = rows.findIndex((row) => row.id === selected), next = rows[Math.max(0, Math.min(shown.length - 1, at + by))];
    onPick(next.id);
    document.getElementById(`row-${next.id}`)?.scrollIntoView({ block: "nearest" });
  };
  const latest = useRef(null);
  latest.current = { move, open: () => selected !== null && onOpen(selected) };
  useLayoutEffect(() => {
    const step = (by) => () => { box.current?.focus(); latest.current.move(by); };
    const off = [onKey("j", step(1)), onKey("k", step(-1))];
    return () => off.forEach((one) => one());
  }, []);
  const onKeyDown = (event) => {
    const act = { ArrowDown: () => move(1), ArrowUp: () => move(-1), Enter: latest.current.open, Home: () => move(-ROWS_MAX), End: () => move(ROWS_MAX) }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  };
  const active = shown.some((row) => row.id === selected) && !drivers ? `row-${selected}` : null;
  return html`<section class="attention" aria-label=${t("attention")}>
    <div class="attention-head"><h2>${drivers ? t("kpi.free") : t("attention")}</h2><span class="num">${number.format(rows.length)}</span></div>
    <div class="rows" ref=${box} id="attention" tabindex="0" role="listbox" aria-label=${drivers ? t("kpi.free") : t("attention")} aria-activedescendant=${active}
      onKeyDown=${onKeyDown} onPointerEnter=${() => { held.value = true; }} onPointerLeave=${() => { held.value = false; }}>
      ${shown.map((row) => (drivers ? html`<${DriverRow} key=${row.id} driver=${row} />` : html`<${OrderRow} key=${row.id} order=${row} zone=${zone} selected=${row.id === selected} onPick=${onPick} />`))}
    </div>
    ${rows.length === 0 && html`<div class="attention-none"><b>${t(drivers ? "attention.nodrivers" : "attention.none")}</b>${!filter && html`<p>${t("attention.none.why")}</p>`}</div>`}
    ${rows.length > ROWS_MAX && html`<p class="attention-more">${t("attention.more", { n: rows.length - ROWS_MAX })}</p>`}
    <div class="attention-keys"><span><kbd>J</kbd> <kbd>K</kbd> ${t("keys.move")}</span><span><kbd>Enter</kbd> ${t("keys.open")}</span><span><kbd>Esc</kbd> ${t("keys.close")}</span></div>
  </section>`;
}
