// Storage of the browser, which may be forbidden: then nothing is remembered, and all else works.
const safely = (area) => ({
  get(name) { try { return globalThis[area].getItem(name); } catch { return null; } },
  set(name, value) {
    try {
      if (value === null) globalThis[area].removeItem(name);
      else globalThis[area].setItem(name, value);
    } catch { /* forbidden or full */ }
  },
});

export const remembered = safely("localStorage");
export const ofTab = safely("sessionStorage");
