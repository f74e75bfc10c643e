// Live picture of a zone: follows mallops.v1 and keeps what it says. api/live/PROTOCOL.md is the contract.
import { batch, computed, signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { call } from "../client/requests.js";
import { accessToken } from "../client/session.js";
import { Picture } from "./picture.js";

const PROTOCOL = "mallops.v1";
// Ticks come every second: three missed ones are a doubt, ten a fact.
const STALE_MS = 3500, LOST_MS = 10_000, LOOK_MS = 500;
const BACK_OFF_MS = [300, 600, 1200, 2500, 5000];
// A view that follows the same zone comes in a moment.
const LINGER_MS = 2000;
// The ticket or the token was too old: another one is fetched at once.
const RENEWED = new Set([4001, 4201]);

export const picture = new Picture();
export const beat = signal(0);
export const counts = signal(null);
// state: off, connecting, live, stale, lost. `age` in seconds, of what is shown.
export const link = signal({ state: "off", age: 0 });
// Nobody acts on what may be long over.
export const mayAct = computed(() => link.value.state !== "lost");

let zone = null, followers = 0, socket = null, tries = 0, timer = 0, lingering = 0, arrived = 0, since = 0;

const say = (frame) => { if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(frame)); };

function look() {
  if (zone === null) return;
  const now = performance.now(), age = now - (arrived || since);
  const state = age > LOST_MS ? "lost" : arrived === 0 ? "connecting" : age > STALE_MS ? "stale" : "live";
  if (state !== link.value.state || (state !== "live" && Math.floor(age / 1000) !== link.value.age)) link.value = { state, age: Math.floor(age / 1000) };
}

function take(frame) {
  if (!picture.apply(frame)) {
    say({ t: "whole" });
    return;
  }
  tries = 0;
  arrived = performance.now();
  batch(() => {
    counts.value = frame.counts;
    beat.value += 1;
    look();
  });
  requestAnimationFrame(() => say({ t: "ack", n: frame.n }));
}

async function open() {
  const wanted = zone;
  let ticket;
  try {
    ticket = (await call("POST", "/api/v2/console/tickets")).value.ticket;
  } catch {
    if (zone === wanted) again();
    return;
  }
  if (zone !== wanted || zone === null) return;
  const mine = socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/api/v2/console/live`, PROTOCOL);
  mine.onopen = () => { say({ t: "hello", ticket }); say({ t: "watch", zone_id: zone }); };
  mine.onmessage = async ({ data }) => {
    const frame = JSON.parse(data);
    if (frame.t === "tick" && frame.zone_id === zone) take(frame);
    else if (frame.t === "auth.expiring") say({ t: "auth.refresh", token: await accessToken(await accessToken()) });
  };
  mine.onclose = ({ code }) => {
    if (socket !== mine) return;
    socket = null;
    if (RENEWED.has(code)) tries = 0;
    again();
  };
}

function again() {
  clearTimeout(timer);
  if (zone === null || document.hidden) return;
  const wait = BACK_OFF_MS[Math.min(tries++, BACK_OFF_MS.length - 1)];
  timer = setTimeout(open, wait * (0.75 + Math.random() / 2));
}

function close() {
  clearTimeout(timer);
  const mine = socket;
  socket = null;
  mine?.close();
}

function begin() {
  since = performance.now();
  arrived = 0;
  link.value = { state: "connecting", age: 0 };
  void open();
}

function switchTo(next) {
  close();
  zone = next;
  picture.clear();
  batch(() => {
    counts.value = null;
    beat.value += 1;
    link.value = { state: "off", age: 0 };
  });
  if (zone !== null && !document.hidden) begin();
}

// A page that nobody sees costs nobody anything.
document.addEventListener("visibilitychange", () => {
  if (zone === null) return;
  if (document.hidden) close();
  else if (socket === null) begin();
});
setInterval(look, LOOK_MS);

export function useZone(id) {
  useEffect(() => {
    if (!id) return undefined;
    clearTimeout(lingering);
    followers += 1;
    if (zone !== id) switchTo(id);
    return () => {
      followers -= 1;
      lingering = setTimeout(() => { if (followers === 0) switchTo(null); }, LINGER_MS);
    };
  }, [id]);
}
