// Session: the access token lives in memory, the refresh token in the tab's storage. Tabs share one session: each token
// is renewed by one of them, and a new tab asks the others.
import { signal } from "@preact/signals";
import { ApiProblem, problemOf } from "./problem.js";
import { ofTab } from "./storage.js";

const REFRESH = "mall.refresh";
const ANSWER_S = 15;
// How long other tabs are waited for; they answer at once unless the browser has frozen them.
const TABS_MS = 250;
// An access token is renewed so long before its end.
const AHEAD_MS = 20_000;

// state: starting, out, in. `why` says why somebody is out: nothing, "ended", or a problem.
export const session = signal({ state: "starting" });

let tokens = null; // { access, refresh, ends }
const channel = new BroadcastChannel("mall.session");
let heard = () => {};

const mark = (held) => held?.access.slice(-16);
// The session that a token belongs to. Tabs may be signed in as different people.
const sessionOf = (held) => held && JSON.parse(atob(held.access.split(".")[1].replaceAll("-", "+").replaceAll("_", "/"))).sid;
const isOurs = (held) => sessionOf(held) === sessionOf(tokens);

function keep(held) {
  tokens = held;
  ofTab.set(REFRESH, held?.refresh ?? null);
}

function adopt(answer) {
  keep({ access: answer.access_token, refresh: answer.refresh_token, ends: Date.now() + answer.expires_in * 1000 });
}

channel.addEventListener("message", ({ data }) => {
  if (data.t === "ask" && tokens !== null && tokens.ends > Date.now() && mark(tokens) !== data.spent) {
    channel.postMessage({ t: "tokens", held: tokens });
  } else if (data.t === "ask" && tokens !== null) {
    channel.postMessage({ t: "none" });
  } else if (data.t === "tokens") {
    if (tokens === null ? session.value.state === "starting" && ofTab.get(REFRESH) === null : isOurs(data.held)) keep(data.held);
    heard();
  } else if (data.t === "none") {
    heard();
  } else if (data.t === "out" && data.session === sessionOf(tokens)) {
    leave();
  }
});

// Ask other tabs for newer tokens; what they answer is taken by the listener above.
async function askTabs() {
  const held = (await navigator.locks?.query())?.held ?? [];
  if (navigator.locks && held.filter((lock) => lock.name === "mall.tab").length < 2) return;
  await new Promise((done) => {
    heard = done;
    setTimeout(done, TABS_MS);
    channel.postMessage({ t: "ask", spent: mark(tokens) });
  });
}

// Held until the tab ends, so that tabs can be counted. Without locks (no https) the server's own patience has to do.
const exclusively = (task) => (navigator.locks ? navigator.locks.request(REFRESH, task) : task());
navigator.locks?.request("mall.tab", { mode: "shared" }, () => new Promise(() => {}));

async function ask(method, path, { body, token }) {
  const headers = { Accept: "application/json" };
  if (body) headers["Content-Type"] = "application/json";
  if (token) headers.Authorization = `Bearer ${token}`;
  let response;
  try {
    response = await fetch(path, { method, headers, body: body && JSON.stringify(body), signal: AbortSignal.timeout(ANSWER_S * 1000) });
  } catch {
    throw new ApiProblem();
  }
  if (!response.ok) throw await problemOf(response);
  return response.status === 204 ? null : response.json();
}

// Exchange the tokens, unless another tab has done so meanwhile.
function renew(spent) {
  return exclusively(async () => {
    if (tokens !== spent && tokens !== null && tokens.ends > Date.now()) return;
    await askTabs();
    if (tokens !== spent && tokens !== null && tokens.ends > Date.now()) return;
    const refresh = tokens?.refresh ?? ofTab.get(REFRESH);
    if (refresh === null) throw new ApiProblem({ status: 401, code: "unauthenticated" });
    try {
      adopt(await ask("POST", "/api/v2/auth/refresh", { body: { refresh_token: refresh } }));
    } catch (problem) {
      if (!problem.passing) leave("ended");
      throw problem;
    }
    channel.postMessage({ t: "tokens", held: tokens });
  });
}

// A token that is good for the next seconds. `refused` is one that the server would not take.
export async function accessToken(refused = null) {
  if (tokens === null || tokens.access === refused || tokens.ends - AHEAD_MS < Date.now()) await renew(tokens);
  return tokens.access;
}

async function enter() {
  session.value = { state: "in", user: await ask("GET", "/api/v2/me", { token: tokens.access }) };
}

export async function signIn(email, password) {
  adopt(await ask("POST", "/api/v2/auth/login", { body: { email, password } }));
  await enter();
}

export async function signOut() {
  const token = tokens?.access;
  channel.postMessage({ t: "out", session: sessionOf(tokens) });
  leave();
  try { if (token) await ask("POST", "/api/v2/auth/logout", { token }); } catch { /* it ends by itself */ }
}

function leave(why) {
  keep(null);
  session.value = { state: "out", why };
}

// Continue the session of this tab, or the one of another tab.
export async function resume() {
  session.value = { state: "starting" };
  try {
    if (ofTab.get(REFRESH) === null) await askTabs();
    if (tokens === null && ofTab.get(REFRESH) === null) return leave();
    if (tokens === null) await renew(null);
    await enter();
  } catch (problem) {
    if (problem.passing) session.value = { state: "unreachable", why: problem };
    else if (session.value.state !== "out") leave("ended");
  }
}
