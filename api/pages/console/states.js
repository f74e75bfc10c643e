// States that every view has: loading, empty, failed. A skeleton shows only when loading takes a while.
import { useEffect, useState } from "preact/hooks";
import { html } from "../client/html.js";
import { t } from "./words.js";

const SHOWN_AFTER_MS = 150;

export function Loading({ rows = 6, height = 40 }) {
  const [late, setLate] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLate(true), SHOWN_AFTER_MS);
    return () => clearTimeout(timer);
  }, []);
  return html`<div class="loading" aria-busy="true"><span class="sr" role="status">${t("loading")}</span>
    ${late && Array.from({ length: rows }, (_, i) => html`<span key=${i} class="skeleton" style=${{ height: `${height - 12}px`, width: `${92 - ((i * 37) % 40)}%` }}></span>`)}
  </div>`;
}

export const Empty = ({ title, why }) => html`<div class="empty"><b>${title}</b>${why && html`<p>${why}</p>`}</div>`;

export function textOf(problem) {
  if (problem.status === 0) return [t("unreachable"), t("unreachable.why")];
  if (problem.status === 429 || problem.status === 503) return [problem.title || t("failed"), t("busy")];
  return [problem.title || t("failed"), problem.detail || problem.errors?.[0]?.detail || ""];
}

export function Failed({ problem, onAgain }) {
  const [title, why] = textOf(problem);
  return html`<div class="note bad" role="alert"><b>${title}</b>${why && html`<span>${why}</span>`}
    ${problem.traceId && html`<span class="trace">${t("trace", { id: problem.traceId })}</span>`}
    ${onAgain && html`<button class="button" onClick=${onAgain}>${t("again")}</button>`}</div>`;
}

// What is read over REST: { value, problem, busy }, and `again` to read it once more.
export function useReading(task, dependencies) {
  const [state, setState] = useState({ busy: true });
  const [round, setRound] = useState(0);
  useEffect(() => {
    const left = new AbortController();
    setState((before) => ({ ...before, busy: true }));
    task(left.signal).then(
      (value) => { if (!left.signal.aborted) setState({ value, busy: false }); },
      (problem) => { if (!left.signal.aborted) setState((before) => ({ value: before.value, problem, busy: false })); },
    );
    return () => left.abort();
  }, [...dependencies, round]);
  return { ...state, again: () => setRound((n) => n + 1) };
}
