// What the page shows of the order, and of itself. Text becomes text nodes, never markup.
import { distanceM, drawMap } from "./map.js";
import { atTime, expectedFor, t } from "./words.js";

const OPEN = ["live", "stale", "offline"];
const NEAR_M = 75;

function el(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== false && value != null) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child != null && child !== false));
  return made;
}

export function render(place, shown) {
  const { state, order } = shown;
  if (state === "loading") return place.replaceChildren(loading());
  if (state === "unknown") return place.replaceChildren(alone(t("unknown"), t(order ? "unknown.over" : "unknown.why")));
  if (!order) return place.replaceChildren(alone(t(state === "offline" ? "offline" : "failed"), t("failed.why"), shown.again));
  place.replaceChildren(head(order, shown), el("main", { class: state === "stale" || state === "offline" ? "old" : "" },
    news(order), order.door && map(order), order.status !== "cancelled" && todo(order, state), steps(order), foot(shown)));
  const canvas = place.querySelector("canvas");
  if (canvas) drawMap(canvas, order, t("door"));
}

// One sentence for those who hear the page.
export function announced({ state, order }) {
  if (state === "loading") return t("loading");
  if (!order) return "";
  return state === "stale" || state === "offline" ? t(state) : headline(order);
}

export function headline(order) {
  if (order.returning) return t("status.returning");
  if (order.status === "picked_up" && order.driver) return t("status.near", { name: order.driver.first_name });
  if (order.status === "confirmed" && order.deliver_at && Date.parse(order.deliver_at) > Date.now()) return t("status.planned");
  return t(`status.${order.status}`);
}

function head(order, { state, seenAt }) {
  const [store, ...others] = order.stores;
  const name = others.length ? t("stores", { name: store.name, n: others.length }) : store.name;
  return el("header", {},
    el("img", { src: "/pages/design/icon.svg", alt: "", width: 36, height: 36 }),
    el("div", { class: "whose" }, el("b", {}, name), el("span", {}, t("number", { number: order.number }))),
    pill(state, seenAt));
}

function pill(state, seenAt) {
  if (state === "ended") return null;
  const hue = { live: "ok", stale: "act", offline: "off" }[state];
  const text = state === "live" ? t("live") : t(`${state}.since`, { time: atTime(seenAt) });
  return el("span", { class: `pill ${hue}` }, el("i", { class: state === "live" ? "dot" : "dot hollow" }), text);
}

function news(order) {
  const ended = ["delivered", "cancelled", "undeliverable"].includes(order.status);
  const last = order.steps.at(-1);
  return el("section", { class: "news" },
    el("h1", {}, headline(order)),
    order.window && el("p", { class: "when num" }, expectedFor(order.window)),
    ended && last.at && el("p", { class: "when num" }, atTime(last.at)),
    el("p", { class: "why" }, why(order)),
    progress(order));
}

function why(order) {
  if (order.returning) return t("why.returning");
  const late = order.window && order.promised_at && Date.parse(order.promised_at) < Date.now();
  if (late) return t("why.late", { time: atTime(order.promised_at) });
  if (order.status === "picked_up" && order.driver?.place) {
    const away = distanceM(order.driver.place, order.door);
    return away < NEAR_M ? t("why.here", { name: order.driver.first_name }) : t("why.near", { name: order.driver.first_name, m: distanceText(away) });
  }
  if (order.status === "confirmed" && order.deliver_at) return t("why.planned", { time: atTime(order.deliver_at) });
  return t(`why.${order.status}`);
}

function distanceText(metres) {
  if (metres < 1000) return t("metres", { n: Math.max(100, Math.round(metres / 50) * 50) });
  return t("kilometres", { n: (metres / 1000).toLocaleString(document.documentElement.lang, { maximumFractionDigits: 1 }) });
}

const PARTS = ["confirmed", "assigned", "picked_up", "delivered"];

function progress(order) {
  const at = PARTS.indexOf(order.status);
  if (order.returning || (at < 0 && order.status !== "awaiting_payment")) return null;
  return el("div", { class: "progress", "aria-hidden": "true" },
    PARTS.map((_, part) => el("i", { class: part < at || order.status === "delivered" ? "done" : part === at ? "now" : "" })));
}

function map(order) {
  const driver = order.driver?.place && order.driver.first_name;
  return el("section", { class: "map", "aria-label": t("map") },
    el("canvas", { "aria-hidden": "true" }),
    el("ul", { class: "legend" },
      el("li", {}, el("i", { class: "mark store" }), order.stores[0].name),
      el("li", {}, el("i", { class: "mark door" }), t("door")),
      driver && el("li", {}, el("i", { class: "mark driver" }), driver)));
}

function todo(order, state) {
  if (!OPEN.includes(state) || order.returning) return null;
  const items = order.todo.length ? order.todo.map((name) => t(`todo.${name}`)) : [t("todo.nothing")];
  return el("section", { class: order.todo.length ? "todo now" : "todo" }, el("h2", {}, t("todo")),
    el("ul", {}, items.map((text) => el("li", {}, text))));
}

function steps(order) {
  const next = order.steps.findIndex((step) => !step.at);
  return el("section", { class: "steps" }, el("h2", {}, t("steps")),
    el("ol", {}, order.steps.map((step, at) => el("li", { class: step.at ? `done ${step.step}` : at === next ? "now" : "" },
      el("span", {}, t(`step.${step.step}`)), el("span", { class: "num" }, step.at ? atTime(step.at) : el("span", { class: "sr" }, t("step.open")))))));
}

const foot = ({ state, seenAt }) => el("p", { class: "foot" }, state === "ended" ? t("foot.ended") : t("foot", { time: atTime(seenAt, true) }));

const alone = (title, text, again) => el("main", { class: "alone" },
  el("img", { src: "/pages/design/icon.svg", alt: "", width: 44, height: 44 }),
  el("h1", {}, title), el("p", {}, text),
  again && el("button", { class: "button", type: "button", onclick: again }, t("again")));

const loading = () => el("main", { class: "loading", "aria-busy": "true" }, el("h1", { class: "sr" }, t("loading")),
  [36, 72, 240, 96].map((height) => el("span", { class: `skeleton s${height}` })));
