// The way to the daemon. In: method, path, body. Out: parsed answers, or ApiError with the server's own words.

const BASE = "/api/v1";
let signedOut = () => {};

export class ApiError extends Error {
  constructor(status, problem) {
    const parts = [problem.detail || problem.title, problem.remedy].filter(Boolean);
    super(parts.join(" ") || `HTTP ${status}`);
    this.status = status;
  }
}

export const onSignedOut = (work) => {
  signedOut = work;
};

/** A fetch on the API with the session cookie; a 401 ends the session for the whole page. */
export async function request(path, options = {}) {
  const answer = await fetch(BASE + path, { credentials: "same-origin", cache: "no-store", ...options });
  if (answer.status === 401) {
    signedOut();
    throw new ApiError(401, { title: "Signed out" });
  }
  if (!answer.ok) throw new ApiError(answer.status, await answer.json().catch(() => ({ title: answer.statusText })));
  return answer;
}

export async function get(path, timeout = 15000) {
  return (await request(path, { signal: AbortSignal.timeout(timeout) })).json();
}

function onceKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A write; it carries the header that no foreign page can send, and a key so that a repeat does no harm. */
export async function write(method, path, body) {
  const headers = { "X-Mcisd": "1", "Idempotency-Key": onceKey() };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const text = body === undefined ? undefined : JSON.stringify(body);
  const answer = await request(path, { method, headers, body: text, signal: AbortSignal.timeout(30000) });
  return answer.status === 204 ? null : answer.json();
}
