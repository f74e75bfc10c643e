// Pill that says how fresh the picture is.
import { html } from "../client/html.js";
import { link } from "./live.js";
import { t } from "./words.js";

export function LivePill() {
  const { state, age } = link.value;
  if (state === "off") return null;
  const old = state === "stale" || state === "lost";
  return html`<div class="freshness ${state}"><span role="status"><i aria-hidden="true"></i>${t(`live.${state}`)}</span>${old && html`<span class="num">${t("live.age", { n: age })}</span>`}</div>`;
}
