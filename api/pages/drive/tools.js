// Theme and language.
import { Icon } from "../client/icons.js";
import { LANGUAGES, chooseLanguage, language } from "../client/language.js";
import { flipTheme } from "../client/theme.js";
import { html } from "../client/html.js";
import { t } from "./words.js";

const NAMES = { en: "English", de: "Deutsch" };

export const Tools = () => html`
  <div class="languages" role="group" aria-label=${t("language")}>${LANGUAGES.map((name) => html`<button key=${name} type="button" class="chip" lang=${name} aria-pressed=${name === language} title=${NAMES[name]} onClick=${() => chooseLanguage(name)}>${name.toUpperCase()}</button>`)}</div>
  <button type="button" class="button icon-only" title=${t("theme")} aria-label=${t("theme")} onClick=${flipTheme}><${Icon} name="theme" /></button>`;
