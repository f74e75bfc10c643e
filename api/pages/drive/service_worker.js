// Service worker: the shell of the driver's app, so that it opens without a network. Nothing of the API is kept here;
// orders and position are in the store of malldrive.js.
const SHELL = "mall-drive-shell";
const PAGE = "/drive";
// A network that hangs must not keep a driver from the stored page.
const PATIENCE_MS = 4000;
// What the page asks for by itself, and no tag of its document names.
const LATER = ["words/en.js", "words/de.js", "today.js", "simulation.js"].map((name) => `/pages/drive/${name}`);

const isPage = (request, url) => request.mode === "navigate" && (url.pathname === PAGE || url.pathname.startsWith(`${PAGE}/`));
const isFile = (url) => url.pathname.startsWith("/pages/");

// The document names its modules, styles and fonts, so there is no list that could be forgotten.
async function keepShell() {
  const shell = await caches.open(SHELL);
  const page = await fetch(PAGE);
  if (!page.ok) throw new Error(`the page answers ${page.status}`);
  const named = [...(await page.clone().text()).matchAll(/(?:href|src)="(\/pages\/[^"]+)"/g)].map((found) => found[1]);
  await Promise.all([...new Set([...named, ...LATER])].map((path) => shell.add(path)));
  await shell.put(PAGE, page);
}

async function newest(request, name) {
  const shell = await caches.open(SHELL);
  try {
    const answer = await fetch(request.url, { cache: "no-cache", signal: AbortSignal.timeout(PATIENCE_MS) });
    if (answer.status === 200) await shell.put(name, answer.clone());
    return answer;
  } catch (away) {
    const kept = await shell.match(name);
    if (kept) return kept;
    throw away;
  }
}

addEventListener("install", (event) => {
  skipWaiting();
  event.waitUntil(keepShell());
});
addEventListener("activate", (event) => event.waitUntil(clients.claim()));
addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (event.request.method !== "GET" || url.origin !== location.origin) return;
  if (isPage(event.request, url)) event.respondWith(newest(event.request, PAGE));
  else if (isFile(url)) event.respondWith(newest(event.request, url.pathname));
});
