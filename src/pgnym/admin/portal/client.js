// The API: calls with the token, problems as errors.

/** What the endpoint refuses with (RFC 9457). `told` is fit to be shown. */
export class Problem extends Error {
  constructor(status, title, detail) {
    super(title);
    this.status = status;
    this.title = title;
    this.told = detail ? `${title}: ${detail}` : title;
  }
}

const KEPT = "pgnym token";

/** The token is kept for this tab only, and goes with it. */
export const kept = {
  get token() { return sessionStorage.getItem(KEPT); },
  set token(value) {
    if (value === null) sessionStorage.removeItem(KEPT);
    else sessionStorage.setItem(KEPT, value);
  },
};

export class Client {
  /** `refused`: told of a token that is no longer valid; `sealed`: of a gateway that has lost its keys. */
  constructor({ refused, sealed }) {
    this.token = null;
    this.refused = refused;
    this.sealed = sealed;
  }

  /** The answer's body, headers beside it: `{ body, headers, status }`. */
  async ask(method, path, { query = {}, body, headers = {}, accept = "application/json" } = {}) {
    const url = new URL(path, location.origin);
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined && value !== null && value !== "") url.searchParams.set(name, value);
    }
    const sent = { Accept: accept, ...headers };
    if (this.token) sent.Authorization = `Bearer ${this.token}`;
    if (body !== undefined) sent["Content-Type"] = "application/json";
    if (method === "POST" && this.token) sent["Idempotency-Key"] ??= key();
    let answer;
    try {
      answer = await fetch(url, {
        method, headers: sent, body: body === undefined ? undefined : JSON.stringify(body),
        cache: "no-store", credentials: "omit", redirect: "error", referrerPolicy: "no-referrer",
      });
    } catch {
      throw new Problem(0, "The gateway can't be reached", "Is it running, and is this page still served by it?");
    }
    const kind = answer.headers.get("Content-Type") ?? "";
    const told = kind.includes("json") ? await answer.json() : await answer.text();
    if (answer.ok) return { body: told, headers: answer.headers, status: answer.status };
    const problem = new Problem(answer.status, told.title ?? `Status ${answer.status}`, told.detail);
    if (answer.status === 401) this.refused(problem);
    if (answer.status === 503 && told.title === "Sealed") this.sealed(problem);
    throw problem;
  }

  async get(path, query) {
    return (await this.ask("GET", path, { query })).body;
  }

  async post(path, body, query) {
    return (await this.ask("POST", path, { body, query })).body;
  }
}

/** A key of its own for each thing to be made, so that it is made once (crypto.randomUUID needs a secure context). */
function key() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
