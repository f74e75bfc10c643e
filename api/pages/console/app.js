// The console: who is signed in decides, then the address.
import { h, render } from "preact";
import "@preact/signals";
import { html } from "../client/html.js";
import { resume, session } from "../client/session.js";
import { flipTheme } from "../client/theme.js";
import { onKey } from "./keys.js";
import { DriversView } from "./drivers.js";
import { Login, NoRole, Unreachable } from "./login.js";
import { OrdersView } from "./orders.js";
import { place } from "./router.js";
import { Shell } from "./shell.js";
import { Empty } from "./states.js";
import { t } from "./words.js";
import { ZoneView } from "./zone_map.js";
import { Zones } from "./zones.js";

const Missing = () => html`<${Shell} title=${t("missing")}><div class="page"><${Empty} title=${t("missing")} why=${t("missing.why")} /></div><//>`;

// The first part of the address, and its view.
const VIEWS = { "": Zones, z: ZoneView, orders: OrdersView, drivers: DriversView };

function App() {
  const { state, user, why } = session.value;
  document.title = t("title");
  if (state === "starting") return html`<main class="alone" aria-busy="true"><span class="sr" role="status">${t("loading")}</span></main>`;
  if (state === "unreachable") return html`<${Unreachable} problem=${why} onAgain=${resume} />`;
  if (state === "out") return html`<${Login} />`;
  if (user.role !== "admin") return html`<${NoRole} user=${user} />`;
  const [view = "", ...rest] = place.value.parts;
  const View = VIEWS[view] ?? Missing;
  return html`<${View} key=${view} rest=${rest} query=${place.value.query} />`;
}

onKey("t", flipTheme);
render(h(App), document.getElementById("app"));
resume();
