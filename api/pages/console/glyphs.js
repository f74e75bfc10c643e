// Glyphs: states as forms, so that colour is never all there is. The map draws the same paths.
import { html } from "../client/html.js";

export const DIAMOND = "M8 2.4 13.6 8 8 13.6 2.4 8z";
export const CHEVRON = "M14 8 3 13.5 5.4 8 3 2.5z";

// Tone and fill of each status.
export const TONES = {
  awaiting_payment: ["wait", false], confirmed: ["act", false], assigned: ["go", false], picked_up: ["go", true],
  delivered: ["ok", true], cancelled: ["off", false], undeliverable: ["bad", true],
};

export const OrderGlyph = ({ status, late = false, size = 20 }) => {
  const [tone, full] = TONES[status];
  return html`<svg class="glyph ${tone}" width=${size} height=${size} viewBox="-3 -3 22 22" aria-hidden="true">
    ${late && html`<circle class="bad" cx="8" cy="8" r="9.6" fill="none" stroke="currentColor" stroke-width="1.7" />`}
    <path d=${DIAMOND} fill=${full ? "currentColor" : "none"} stroke="currentColor" stroke-width="1.9" stroke-linejoin="round" /></svg>`;
};

export const DriverGlyph = ({ doing = 0, off = false, size = 16 }) => (off
  ? html`<svg class="glyph off" width=${size} height=${size} viewBox="0 0 16 16" aria-hidden="true"><circle cx="8" cy="8" r="3.4" fill="currentColor" /></svg>`
  : html`<svg class="glyph ${doing === 0 ? "ok" : "go"}" width=${size} height=${size} viewBox="0 0 16 16" aria-hidden="true"><path d=${CHEVRON} fill=${doing === 1 ? "none" : "currentColor"} stroke="currentColor" stroke-width="1.6" stroke-linejoin="round" /></svg>`);

export const StoreGlyph = ({ size = 16 }) => html`<svg class="glyph" width=${size} height=${size} viewBox="0 0 16 16" aria-hidden="true"><rect x="3" y="3" width="10" height="10" rx="2.5" fill="currentColor" /></svg>`;
