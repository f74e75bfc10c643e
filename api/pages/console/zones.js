// Zones: where to look first.
import { useEffect } from "preact/hooks";
import { html } from "../client/html.js";
import { read } from "../client/requests.js";
import { go } from "./router.js";
import { Shell } from "./shell.js";
import { Empty, Failed, Loading, useReading } from "./states.js";
import { t } from "./words.js";

const ZONES_MAX = 100;

export const readZones = (signal) => read(`/api/v2/zones?limit=${ZONES_MAX}`, { signal }).then((page) => page.items);
export const modeOf = (zone) => t(`zones.mode.${zone.mode}`, { n: zone.wave_size });

const Card = ({ zone }) => html`<li><a class="card" href=${`/console/z/${zone.id}`}><b>${zone.name}</b><span>${modeOf(zone)}</span><span class="mono">${zone.id}</span></a></li>`;

export function Zones() {
  const zones = useReading(readZones, []);
  // With one zone there is nothing to choose.
  const only = zones.value?.length === 1 ? zones.value[0].id : null;
  useEffect(() => { if (only) go(`/console/z/${only}`, { replace: true }); }, [only]);
  return html`<${Shell} title=${t("zones")} current=""><div class="page">
    ${zones.problem && html`<${Failed} problem=${zones.problem} onAgain=${zones.again} />`}
    ${zones.busy && !zones.value && html`<${Loading} rows=${4} height=${72} />`}
    ${zones.value?.length === 0 && html`<${Empty} title=${t("zones.empty")} why=${t("zones.empty.why")} />`}
    ${zones.value?.length > 1 && html`<ul class="cards">${zones.value.map((zone) => html`<${Card} key=${zone.id} zone=${zone} />`)}</ul>`}
  </div><//>`;
}
