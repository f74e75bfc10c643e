// The driver's app: who is signed in decides, then the tab that is chosen.
import { h, render } from "preact";
import { effect, signal } from "@preact/signals";
import { html } from "../client/html.js";
import { resume, session } from "../client/session.js";
import { Carrying } from "./carrying.js";
import { Login, NoRole, Unreachable } from "./login.js";
import { OfferSheet } from "./offer_sheet.js";
import { followShift } from "./positions.js";
import { begin, carried, clear, driver, offers, pause, rememberedDriver } from "./shift.js";
import { Frame, tab } from "./frame.js";
import { Waiting } from "./waiting.js";
import { t } from "./words.js";

// What a shift does not begin with comes when it is asked for.
const Today = signal(null);

function Shift() {
  if (tab.value === "today") return html`<${Frame}>${Today.value && html`<${Today.value} />`}<//>`;
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
effect(() => {
  if (tab.value === "today" && Today.peek() === null) import("./today.js").then((found) => { Today.value = found.Today; }, () => {});
});

// The service worker's address is a script, so a policy of Trusted Types has to let it through.
const WORKER = "/pages/drive/service_worker.js";

async function registerWorker() {
  if (!navigator.serviceWorker) return; // no https
  const policy = globalThis.trustedTypes?.createPolicy("mall-worker", { createScriptURL: () => WORKER });
  try {
    await navigator.serviceWorker.register(policy?.createScriptURL("") ?? WORKER, { scope: "/drive" });
  } catch { /* without it the app needs a network to open; all else works */ }
}

followShift();
render(h(App), document.getElementById("app"));
void resume();
void registerWorker();
