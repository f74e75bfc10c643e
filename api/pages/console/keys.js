// Keys: one register that both listens and shows what there is.
const known = new Map();

export function onKey(key, action) {
  known.set(key, action);
  return () => { if (known.get(key) === action) known.delete(key); };
}

const isTyping = (target) => target.matches?.("input:not([type=checkbox]):not([type=range]), textarea, select");

addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  if (isTyping(event.target) || document.querySelector("dialog[open]")) return;
  const action = known.get(event.key.length === 1 ? event.key.toLowerCase() : event.key);
  if (action === undefined) return;
  event.preventDefault();
  action(event);
});
