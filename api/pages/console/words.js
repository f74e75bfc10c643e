// Words of the console in the chosen language, and numbers and times as that language writes them.
import { language, loadWords } from "../client/language.js";

export const t = await loadWords("/pages/console/words");

export const number = new Intl.NumberFormat(language);
const clockTime = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const dayTime = new Intl.DateTimeFormat(language, { day: "2-digit", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

export const atTime = (when) => (when ? clockTime.format(new Date(when)) : "–");
export const atDay = (when) => (when ? dayTime.format(new Date(when)) : "–");

export const money = ({ amount_minor: minor, currency }) => {
  const shown = new Intl.NumberFormat(language, { style: "currency", currency });
  return shown.format(minor / 10 ** shown.resolvedOptions().maximumFractionDigits);
};

// A text for a name that the server may know and the page may not.
export const translated = (name, otherwise) => { const text = t(name); return text === name ? otherwise : text; };

// 12:07, or 3 h 05 min from an hour on.
export function lasting(seconds) {
  const whole = Math.max(0, Math.round(seconds)), two = (n) => String(n).padStart(2, "0");
  if (whole < 3600) return `${Math.floor(whole / 60)}:${two(whole % 60)}`;
  if (whole < 86_400) return `${Math.floor(whole / 3600)} h ${two(Math.floor(whole / 60) % 60)}`;
  return t("days", { n: Math.floor(whole / 86_400) });
}
