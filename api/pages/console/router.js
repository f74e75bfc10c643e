// Router: the address holds everything that is shown, so a link shows the same to whoever opens it.
import { signal } from "@preact/signals";

const ROOT = "/console";
const present = () => ({ parts: location.pathname.slice(ROOT.length).split("/").filter(Boolean).map(decodeURIComponent), query: new URLSearchParams(location.search) });

export const place = signal(present());

export function go(path, { replace = false } = {}) {
  history[replace ? "replaceState" : "pushState"](null, "", path);
  place.value = present();
  if (!replace) document.getElementById("content")?.focus({ preventScroll: true });
}

// Change parameters of the query; an empty one is left out.
export function setQuery(changes, options = { replace: true }) {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === "") query.delete(name);
    else query.set(name, value);
  }
  const text = query.toString();
  go(location.pathname + (text ? `?${text}` : ""), options);
}

addEventListener("popstate", () => { place.value = present(); });

// Links within the console change the place without loading the page again.
addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href]");
  if (!link || event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const url = new URL(link.href);
  if (url.origin !== location.origin || !`${url.pathname}/`.startsWith(`${ROOT}/`) || link.hash) return;
  event.preventDefault();
  go(url.pathname + url.search);
});
