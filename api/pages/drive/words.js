// Words of the driver's app in the chosen language, and amounts, distances and times as that language writes them.
import { language, loadWords } from "../client/language.js";

export const t = await loadWords("/pages/drive/words");

const clockTime = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const kilometres = new Intl.NumberFormat(language, { style: "unit", unit: "kilometer", minimumFractionDigits: 1, maximumFractionDigits: 1 });
const metres = new Intl.NumberFormat(language, { style: "unit", unit: "meter", maximumFractionDigits: 0 });

export const atTime = (ms) => clockTime.format(new Date(ms));

export const distance = (m) => (m < 995 ? metres.format(Math.round(m / 10) * 10) : kilometres.format(m / 1000));

const forms = new Map();

export function money({ amount_minor: minor, currency }) {
  if (!forms.has(currency)) forms.set(currency, new Intl.NumberFormat(language, { style: "currency", currency }));
  const form = forms.get(currency);
  return form.format(minor / 10 ** form.resolvedOptions().maximumFractionDigits);
}

// The sum of amounts, null where there is none; currencies are not mixed.
export function sum(amounts) {
  const given = amounts.filter(Boolean);
  if (given.length === 0) return null;
  return { amount_minor: given.reduce((total, one) => total + one.amount_minor, 0), currency: given[0].currency };
}

// Words for a code of the server, or the code itself, which a later version may have added.
export function wordsOf(code) {
  const name = `code.${code}`, found = t(name);
  return found === name ? t("code.other", { code }) : found;
}
