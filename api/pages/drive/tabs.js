// Tabs: the address holds which one is shown, so back works.
import { signal } from "@preact/signals";

const ROOT = "/drive";
const present = () => (location.pathname.startsWith(`${ROOT}/today`) ? "today" : "shift");

export const tab = signal(present());

export const pathOf = (name) => `${ROOT}${name === "today" ? "/today" : ""}${location.search}`;

export function show(event, name) {
  event.preventDefault();
  if (tab.value === name) return;
  history.pushState(null, "", pathOf(name));
  tab.value = name;
  document.getElementById("content")?.focus({ preventScroll: true });
}

addEventListener("popstate", () => { tab.value = present(); });
