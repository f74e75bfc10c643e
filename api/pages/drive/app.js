// The driver's app: who is signed in decides, then the tab that is chosen.
import { h, render } from "preact";
import { effect } from "@preact/signals";
import { html } from "../client/html.js";
import { resume, session } from "../client/session.js";
import { Carrying } from "./carrying.js";
import { Login, NoRole, Unreachable } from "./login.js";
import { OfferSheet } from "./offer_sheet.js";
import { followShift } from "./positions.js";
import { begin, carried, clear, driver, offers, pause, rememberedDriver } from "./shift.js";
import { tab } from "./tabs.js";
import { Frame } from "./frame.js";
import { Today } from "./today.js";
import { Waiting } from "./waiting.js";
import { registerWorker } from "./worker.js";
import { t } from "./words.js";

function Shift() {
  if (tab.value === "today") return html`<${Frame}><${Today} /><//>`;
  return html`<${Frame}>${carried.value.length > 0 && html`<${Carrying} />`}<${Waiting} /><${OfferSheet} /><//>`;
}

function App() {
  const { state, user, why } = session.value;
  document.title = offers.value.length > 0 ? `(${offers.value.length}) ${t("title")}` : t("title");
  if (driver.value !== null) return html`<${Shift} />`;
  if (state === "out") return html`<${Login} />`;
  if (state === "unreachable") return html`<${Unreachable} problem=${why} onAgain=${resume} />`;
  if (state === "in" && user.role !== "driver") return html`<${NoRole} user=${user} />`;
  return html`<main class="alone" aria-busy="true"><h1 class="sr">${t("title")}</h1><span class="sr" role="status">${t("loading")}</span></main>`;
}

// A shift begins with a session, goes on without a network, and ends with the session.
effect(() => {
  const { state, user, why } = session.value, known = state === "unreachable" ? rememberedDriver() : null;
  if (state === "in" && user.role === "driver" && driver.peek()?.id !== user.id) void begin(user);
  else if (known && driver.peek() === null) void begin(known);
  else if (state === "out" && driver.peek() !== null) (why === "ended" ? pause : clear)();
});
followShift();
render(h(App), document.getElementById("app"));
void resume();
void registerWorker();
