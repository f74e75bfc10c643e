// Requests to the API: with a token, a deadline, and one repetition with a new token.
import { ApiProblem, problemOf } from "./problem.js";
import { accessToken } from "./session.js";

const ANSWER_S = 15;

// An Idempotency-Key: made when a dialog opens, so that a second click is the same command.
export const freshKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

async function send(method, path, token, { body, key, match, signal }) {
  const headers = { Accept: "application/json", Authorization: `Bearer ${token}` };
  if (body !== undefined) headers["Content-Type"] = method === "PATCH" ? "application/merge-patch+json" : "application/json";
  if (key) headers["Idempotency-Key"] = key;
  if (match) headers["If-Match"] = match;
  const limit = AbortSignal.timeout(ANSWER_S * 1000);
  try {
    return await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), signal: signal ? AbortSignal.any([signal, limit]) : limit });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiProblem();
  }
}

// The answer's value and tag. Throws ApiProblem, or AbortError when the caller has given up.
export async function call(method, path, options = {}) {
  let token = await accessToken();
  let response = await send(method, path, token, options);
  if (response.status === 401) {
    token = await accessToken(token);
    response = await send(method, path, token, options);
  }
  if (!response.ok) throw await problemOf(response);
  const value = response.status === 204 ? null : await response.json();
  return { value, tag: response.headers.get("ETag"), trace: response.headers.get("X-Trace-ID") };
}

export const read = async (path, options) => (await call("GET", path, options)).value;
