// Theme: the system's, or the one that was chosen. early.js sets it at the start.
import { signal } from "@preact/signals";
import { remembered } from "./storage.js";

const dark = matchMedia("(prefers-color-scheme: dark)");
const present = () => document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light");

export const theme = signal(present());

export function flipTheme() {
  const next = theme.value === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  // Whoever chooses what the system has follows the system again.
  const own = next === (dark.matches ? "dark" : "light");
  if (own) delete document.documentElement.dataset.theme;
  remembered.set("mall.theme", own ? null : next);
  theme.value = next;
}

dark.addEventListener("change", () => { theme.value = present(); });
