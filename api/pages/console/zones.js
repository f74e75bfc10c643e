// Zones: where to look first.
import { html } from "../client/html.js";
import { read } from "../client/requests.js";
import { Shell } from "./shell.js";
import { Empty, Failed, Loading, useReading } from "./states.js";
import { t } from "./words.js";

const ZONES_MAX = 100;

export const readZones = (signal) => read(`/api/v2/zones?limit=${ZONES_MAX}`, { signal }).then((page) => page.items);
export const modeOf = (zone) => t(`zones.mode.${zone.mode}`, { n: zone.wave_size });

const Card = ({ zone }) => html`<li class="card"><b>${zone.name}</b><span>${modeOf(zone)}</span><span class="mono">${zone.id}</span></li>`;

export function Zones() {
  const zones = useReading(readZones, []);
  return html`<${Shell} title=${t("zones")}><div class="page">
    ${zones.problem && html`<${Failed} problem=${zones.problem} onAgain=${zones.again} />`}
    ${zones.busy && !zones.value && html`<${Loading} rows=${4} height=${72} />`}
    ${zones.value?.length === 0 && html`<${Empty} title=${t("zones.empty")} why=${t("zones.empty.why")} />`}
    ${zones.value?.length > 0 && html`<ul class="cards">${zones.value.map((zone) => html`<${Card} key=${zone.id} zone=${zone} />`)}</ul>`}
  </div><//>`;
}
