// Registration of the service worker. Its address is a script, so a policy of Trusted Types has to let it through.
const ADDRESS = "/pages/drive/service_worker.js";

export async function registerWorker() {
  if (!navigator.serviceWorker) return; // no https
  const policy = globalThis.trustedTypes?.createPolicy("mall-worker", { createScriptURL: () => ADDRESS });
  try {
    await navigator.serviceWorker.register(policy?.createScriptURL("") ?? ADDRESS, { scope: "/drive" });
  } catch { /* without it the app needs a network to open; all else works */ }
}
