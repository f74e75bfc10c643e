// Language: the one that was chosen, else the first that browser and page have in common.
import { remembered } from "./storage.js";

export const LANGUAGES = ["en", "de"];

const chosen = () => {
  const wanted = [remembered.get("mall.language"), ...navigator.languages];
  const known = wanted.map((name) => name?.slice(0, 2).toLowerCase()).find((name) => LANGUAGES.includes(name));
  return known ?? LANGUAGES[0];
};

export const language = chosen();
document.documentElement.lang = language;

export function chooseLanguage(name) {
  remembered.set("mall.language", name);
  location.reload();
}

// `loadWords("/pages/console/words")` reads en.js or de.js there. A text may hold {names}; one that depends on a number
// is an array of two, for one and for others.
export async function loadWords(folder) {
  const { words } = await import(`${folder}/${language}.js`);
  return (name, values = {}) => {
    const found = words[name] ?? name;
    const text = Array.isArray(found) ? found[values.n === 1 ? 0 : 1] : found;
    return text.replace(/\{(\w+)\}/g, (whole, key) => (key in values ? values[key] : whole));
  };
}
