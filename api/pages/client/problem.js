// ApiProblem: why a request failed, as the server said it (RFC 9457), or because it could not be reached.
export class ApiProblem extends Error {
  constructor({ status = 0, code = "unreachable", title = "", detail = "", trace_id: traceId = "", errors = [] } = {}) {
    super(title || code);
    Object.assign(this, { status, code, title, detail, traceId, errors });
  }

  // The server did not answer, or not with sense: the same may succeed later.
  get passing() { return this.status === 0 || this.status === 429 || this.status >= 500; }
}

export async function problemOf(response) {
  let said = {};
  try { said = await response.json(); } catch { /* a proxy in between, perhaps */ }
  return new ApiProblem({ trace_id: response.headers.get("X-Trace-ID") ?? "", code: `http_${response.status}`, ...said, status: response.status });
}
