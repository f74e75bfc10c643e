// Sheet: a dialog at the lower edge, where a thumb reaches it.
import { useEffect, useId, useRef } from "preact/hooks";
import { Icon } from "../client/icons.js";
import { html } from "../client/html.js";
import { t } from "./words.js";

// The heading has the focus at first, so that a key that was meant for something else does not press a button.
export function Sheet({ title, aside, onClose, children }) {
  const dialog = useRef(null), heading = useRef(null), id = useId();
  useEffect(() => {
    dialog.current.showModal();
    (dialog.current.querySelector("[data-first]") ?? heading.current).focus();
  }, []);
  const close = (event) => { event.preventDefault(); onClose(); };
  return html`<dialog class="sheet" ref=${dialog} aria-labelledby=${id} onCancel=${close}><div class="sheet-inside">
    <header class="sheet-head"><h2 id=${id} ref=${heading} tabindex="-1">${title}</h2>${aside}<button class="button icon-only" aria-label=${t("close")} title=${t("close")} onClick=${onClose}><${Icon} name="close" /></button></header>
    ${children}
  </div></dialog>`;
}
