// The page of a share link: one order, followed without an account. The secret stays behind the # of the address.
import { follow } from "./live.js";
import { announced, render } from "./view.js";
import { t } from "./words.js";

const SKELETON_AFTER_MS = 150;
const place = document.getElementById("page"), said = document.getElementById("said");
const secret = decodeURIComponent(location.hash.slice(1));

let shown = { state: "loading" };

function show(next) {
  shown = next;
  document.title = next.order ? t("title.of", { number: next.order.number }) : t("title");
  render(place, next);
  const text = announced(next);
  // Told again only when it is another: a live region that is written to is read aloud.
  if (said.textContent !== text) said.textContent = text;
}

const skeleton = setTimeout(() => render(place, shown), SKELETON_AFTER_MS);
const begin = (next) => { clearTimeout(skeleton); show(next); };

if (secret) follow(secret, begin);
else begin({ state: "unknown" });

addEventListener("hashchange", () => location.reload());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => render(place, shown));
