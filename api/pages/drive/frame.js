// Frame: the connection and the menu above, tabs below, a view between them.
import { signal } from "@preact/signals";
import { useState } from "preact/hooks";
import { Icon } from "../client/icons.js";
import { LANGUAGES, chooseLanguage, language } from "../client/language.js";
import { flipTheme } from "../client/theme.js";
import { html } from "../client/html.js";
import { driver, feedState, reconnect } from "./shift.js";
import { signOut } from "../client/session.js";
import { position } from "./positions.js";
import { Sheet } from "./sheet.js";
import { t, wordsOf } from "./words.js";

// Tabs: the address holds which one is shown, so back works.
const ROOT = "/drive";
const present = () => (location.pathname.startsWith(`${ROOT}/today`) ? "today" : "shift");

export const tab = signal(present());

const pathOf = (name) => `${ROOT}${name === "today" ? "/today" : ""}${location.search}`;

function show(event, name) {
  event.preventDefault();
  if (tab.value === name) return;
  history.pushState(null, "", pathOf(name));
  tab.value = name;
  document.getElementById("content")?.focus({ preventScroll: true });
}

addEventListener("popstate", () => { tab.value = present(); });

// Connections and their colours.
const LOOKS = { live: "ok", connecting: "act", waiting: "act", offline: "off", stopped: "bad" };

const Connection = () => {
  const { connection } = feedState.value;
  return html`<span class=${`pill connection ${LOOKS[connection]}`} role="status" data-connection=${connection}><span class="dot" aria-hidden="true"></span>${t(`connection.${connection}`)}</span>`;
};

function Trouble() {
  const { connection, closed, commands, durable } = feedState.value;
  if (connection === "stopped" && closed !== null) {
    return html`<div class="trouble note bad" role="alert"><b>${t("stopped")}</b><span>${wordsOf(closed)}</span><button class="button" onClick=${reconnect}>${t("stopped.again")}</button></div>`;
  }
  if (connection === "offline" || connection === "waiting") {
    return html`<div class="trouble note"><b>${t(`trouble.${connection}`)}</b><span>${commands.length > 0 ? t("trouble.kept", { n: commands.length }) : t("trouble.why")}</span></div>`;
  }
  return !durable && html`<div class="trouble note"><b>${t("trouble.volatile")}</b><span>${t("trouble.volatile.why")}</span></div>`;
}

// Theme and language.
const NAMES = { en: "English", de: "Deutsch" };

export const Tools = () => html`
  <div class="languages" role="group" aria-label=${t("language")}>${LANGUAGES.map((name) => html`<button key=${name} type="button" class="chip" lang=${name} aria-pressed=${name === language} title=${NAMES[name]} onClick=${() => chooseLanguage(name)}>${name.toUpperCase()}</button>`)}</div>
  <button type="button" class="button icon-only" title=${t("theme")} aria-label=${t("theme")} onClick=${flipTheme}><${Icon} name="theme" /></button>`;

const LOCATED = { on: "ok", simulated: "go", asking: "act", denied: "bad", missing: "bad", off: "off" };

function Menu({ onClose }) {
  const { state } = position.value;
  return html`<${Sheet} title=${driver.value.name ?? t("menu")} onClose=${onClose}>
    <dl class="facts">
      <div><dt>${t("position")}</dt><dd class=${LOCATED[state]}>${t(`position.${state}`)}</dd></div>
      <div><dt>${t("zone")}</dt><dd class="mono">${feedState.value.zone_id ?? "–"}</dd></div>
      <div><dt>${t("log")}</dt><dd class="num">${feedState.value.seq}</dd></div>
    </dl>
    <div class="menu-tools"><${Tools} /></div>
    <button class="button tall" onClick=${signOut}><${Icon} name="leave" />${t("signout")}</button>
    <p class="small">${t("signout.why")}</p>
  <//>`;
}

const Tab = ({ name, icon }) => html`<a href=${pathOf(name)} aria-current=${tab.value === name ? "page" : null} onClick=${(event) => show(event, name)}><${Icon} name=${icon} /><span>${t(`tab.${name}`)}</span></a>`;

export function Frame({ children }) {
  const [menu, setMenu] = useState(false);
  return html`<div class="frame">
    <a class="skip" href="#content">${t("skip")}</a>
    <header class="top"><img src="/pages/design/icon.svg" alt="" width="28" height="28" /><h1>${t(`tab.${tab.value}`)}</h1><${Connection} />
      <button class="button icon-only menu" aria-label=${t("menu")} title=${t("menu")} aria-haspopup="dialog" onClick=${() => setMenu(true)}><svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d="M4 7h16M4 12h16M4 17h16" /></svg></button></header>
    <main id="content" class="content" tabindex="-1"><${Trouble} />${children}</main>
    <nav class="tabs" aria-label=${t("navigation")}><${Tab} name="shift" icon="map" /><${Tab} name="today" icon="orders" /></nav>
    ${menu && html`<${Menu} onClose=${() => setMenu(false)} />`}
  </div>`;
}
