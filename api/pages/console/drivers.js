// Drivers: who is there, what they carry, and taking one offline.
import { useEffect, useRef, useState } from "preact/hooks";
import { html } from "../client/html.js";
import { call, freshKey, read } from "../client/requests.js";
import { DriverGlyph } from "./glyphs.js";
import { setQuery } from "./router.js";
import { Shell } from "./shell.js";
import { Empty, Failed, Loading, useReading } from "./states.js";
import { t } from "./words.js";
import { readZones } from "./zones.js";

const STATES = ["online", "unreachable", "offline"], AGAIN_MS = 10_000, PAGE = 100;
const TONE = { online: "ok", unreachable: "bad", offline: "off" };

function Offline({ driver, onClose, onDone }) {
  const dialog = useRef(null), key = useRef(freshKey()), [problem, setProblem] = useState(null), [busy, setBusy] = useState(false);
  useEffect(() => dialog.current.showModal(), []);
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    try {
      await call("PUT", `/api/v2/drivers/${driver.id}/availability`, { body: { status: "offline" }, key: key.current });
      onDone();
    } catch (found) {
      setProblem(found);
      setBusy(false);
    }
  };
  return html`<dialog ref=${dialog} aria-labelledby="offline-title" onClose=${onClose}><form onSubmit=${submit}><h2 id="offline-title">${t("offline.title", { name: driver.name })}</h2><p>${t("offline.lead")}</p>
    ${problem && html`<${Failed} problem=${problem} />`}
    <div class="choices"><button type="button" class="button" onClick=${onClose}>${t("back")}</button><button class="button danger" disabled=${busy}>${t("offline")}</button></div></form></dialog>`;
}

const Row = ({ driver, zones, onOffline }) => html`<tr><td><span class="order-link"><${DriverGlyph} doing=${driver.carried ? 1 : 0} off=${driver.state !== "online"} />${driver.name}</span></td><td class="mono">${driver.id}</td>
  <td><span class=${TONE[driver.state]}>${t(`state.${driver.state}`)}</span></td><td class="num">${driver.carried ? html`<a href=${`/console/orders?driver=${driver.id}&status=assigned,picked_up`}>${t("driver.load", { load: driver.carried, capacity: driver.capacity })}</a>` : t("driver.load", { load: 0, capacity: driver.capacity })}</td>
  <td>${zones.get(driver.zone_id) ?? driver.zone_id}</td><td class="num">${driver.location ? `${driver.location.lat.toFixed(4)}, ${driver.location.lon.toFixed(4)}` : "–"}</td>
  <td class="right">${driver.state !== "offline" && html`<button class="button" onClick=${() => onOffline(driver)}>${t("offline")}…</button>`}</td></tr>`;

export function DriversView({ query }) {
  const state = STATES.includes(query.get("state")) ? query.get("state") : null, zone = query.get("zone"), [going, setGoing] = useState(null);
  const asked = new URLSearchParams({ limit: PAGE, ...(state && { state }), ...(zone && { zone_id: zone }), ...(query.get("cursor") && { cursor: query.get("cursor") }) });
  const found = useReading((signal) => read(`/api/v2/drivers?${asked}`, { signal }), [asked.toString()]), zones = useReading(readZones, []);
  const names = new Map((zones.value ?? []).map((one) => [one.id, one.name])), items = found.value?.items;
  useEffect(() => {
    const timer = setInterval(() => { if (!document.hidden) found.again(); }, AGAIN_MS);
    return () => clearInterval(timer);
  }, [asked.toString()]);
  return html`<${Shell} title=${t("drivers")} current="drivers"><div class="listing"><div class="filters">
    <label class="inline"><span class="sr">${t("zones")}</span><select class="input" value=${zone ?? ""} onChange=${(event) => setQuery({ zone: event.target.value, cursor: null })}><option value="">${t("zones.all")}</option>${(zones.value ?? []).map((one) => html`<option key=${one.id} value=${one.id}>${one.name}</option>`)}</select></label>
    <div class="chips" role="group" aria-label=${t("driver.state")}>${STATES.map((name) => html`<button key=${name} class="chip" aria-pressed=${state === name} onClick=${() => setQuery({ state: state === name ? null : name, cursor: null })}>${t(`state.${name}`)}</button>`)}</div></div>
    ${found.problem && html`<div class="pad"><${Failed} problem=${found.problem} onAgain=${found.again} /></div>`}
    ${found.busy && !items && html`<div class="pad"><${Loading} rows=${10} /></div>`}
    ${items?.length === 0 && html`<${Empty} title=${t("drivers.empty")} why=${t(state || zone ? "drivers.empty.filtered" : "drivers.empty.why")} />`}
    ${items?.length > 0 && html`<div class="scroll" tabindex="0" role="region" aria-label=${t("drivers")}><table class="table"><thead><tr>${["name", "id", "state", "carries", "zone", "place"].map((name) => html`<th key=${name} scope="col">${t(`driver.${name}`)}</th>`)}<th scope="col"><span class="sr">${t("driver.actions")}</span></th></tr></thead>
      <tbody>${items.map((driver) => html`<${Row} key=${driver.id} driver=${driver} zones=${names} onOffline=${setGoing} />`)}</tbody></table></div>
      <div class="pages">${query.get("cursor") && html`<button class="button" onClick=${() => history.back()}>${t("page.before")}</button>`}<span class="grow"></span>${found.value.next && html`<button class="button" onClick=${() => setQuery({ cursor: found.value.next }, {})}>${t("page.next")}</button>`}</div>`}
    ${going && html`<${Offline} key=${going.id} driver=${going} onClose=${() => setGoing(null)} onDone=${() => { setGoing(null); found.again(); }} />`}
  </div><//>`;
}
