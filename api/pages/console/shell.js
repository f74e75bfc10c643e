// Shell: navigation, the top bar, and the view that the address names.
import { Icon } from "../client/icons.js";
import { html } from "../client/html.js";
import { session, signOut } from "../client/session.js";
import { Tools } from "./tools.js";
import { t } from "./words.js";

// Path, icon, and name of every page in the rail.
const RAIL = [["", "map", "map"], ["orders", "orders", "orders"], ["drivers", "drivers", "drivers"]];

const Rail = ({ current }) => html`<nav class="rail" aria-label=${t("navigation")}>
    <a class="mark" href="/console/" tabindex="-1" aria-hidden="true"><img src="/pages/design/icon.svg" alt="" width="26" height="26" /></a>
    ${RAIL.map(([path, icon, name]) => html`<a key=${name} href=${`/console/${path}`} aria-current=${path === current ? "page" : null}><${Icon} name=${icon} /><span>${t(name)}</span></a>`)}
  </nav>`;

const initials = (user) => (user.name || user.email).split(/\s+/).map((word) => word[0]).join("").slice(0, 2).toUpperCase();

const Top = ({ title, back, children }) => html`<header class="top">
  ${back && html`<a class="button icon-only" href=${back.href} aria-label=${back.text} title=${back.text}><${Icon} name="back" /></a>`}<h1>${title}</h1><div class="top-parts">${children}</div>
  <${Tools} />
  <span class="who" title=${session.value.user.email} aria-hidden="true">${initials(session.value.user)}</span>
  <button class="button icon-only" title=${t("signout")} aria-label=${t("signout")} onClick=${signOut}><${Icon} name="leave" /></button>
</header>`;

export const Shell = ({ title, current, back, top, children }) => {
  document.title = `${title} · ${t("title")}`;
  return html`<div class="shell">
    <a class="skip" href="#content">${t("skip")}</a>
    <${Rail} current=${current} /><${Top} title=${title} back=${back}>${top}<//>
    <main id="content" class="content" tabindex="-1">${children}</main>
  </div>`;
};
