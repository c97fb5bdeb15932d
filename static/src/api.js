// Problem is an error that the server explained.
export class Problem extends Error {
  constructor(body, status) {
    super(body?.detail ?? `The server answered ${status}.`);
    this.status = status;
    this.code = body?.code ?? "";
  }
}

export class API {
  constructor(id) {
    this.base = `/api/v1/sessions/${id}`;
  }

  async call(method, path = "") {
    const res = await fetch(this.base + path, { method, headers: { Accept: "application/json" }, signal: AbortSignal.timeout(15_000) });
    const isJSON = /json/.test(res.headers.get("Content-Type") ?? "");
    const body = isJSON ? await res.json() : null;
    if (!res.ok) throw new Problem(body, res.status);
    return body;
  }

  session() {
    return this.call("GET");
  }
  extend() {
    return this.call("POST", "/extend");
  }
  end() {
    return this.call("DELETE");
  }
  endProcesses() {
    return this.call("DELETE", "/processes");
  }
  terminals() {
    return this.call("GET", "/terminals");
  }
  closeTerminal(name) {
    return this.call("DELETE", "/terminals/" + encodeURIComponent(name));
  }
  terminalURL(name) {
    const url = new URL(this.base + "/terminals/" + encodeURIComponent(name), location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    return url;
  }
}
