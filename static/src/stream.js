// Answers that stay open come over websockets: of HTTP/1.1 connections a browser has six for a server, and three tabs would
// use them up. The server's side, and what is said, is in handlers/stream.go.
const PROTOCOL = "berth.stream.v1";
const WORD = 128 << 10; // bytes that are read between two words to the server, which waits at 1 MiB without one
const EMPTY = [204, 205, 304]; // statuses that have no body

const stopped = () => new DOMException("stopped", "AbortError");
const lost = () => new TypeError("The connection was lost.");

// openStream asks for an address by GET. It resolves to a Response, and rejects as fetch does.
export function openStream(address, signal) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(stopped());
    const url = new URL(address, location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(url, PROTOCOL);
    socket.binaryType = "arraybuffer";
    const queue = [];
    let unsaid = 0, wake, end; // end: a function of the body's controller
    const ends = (how) => {
      end ??= how;
      wake?.();
    };
    const abort = () => {
      socket.close();
      reject(stopped());
      queue.length = 0;
      ends((c) => c.error(stopped()));
    };
    signal?.addEventListener("abort", abort, { once: true });
    const body = new ReadableStream({
      async pull(c) {
        while (!queue.length && !end) await new Promise((go) => (wake = go));
        if (!queue.length) return end(c);
        const piece = queue.shift();
        c.enqueue(piece);
        if ((unsaid += piece.length) < WORD || socket.readyState !== WebSocket.OPEN) return;
        socket.send(String(unsaid));
        unsaid = 0;
      },
      cancel: () => socket.close(),
    }, { highWaterMark: 0 });
    socket.onmessage = ({ data }) => {
      if (typeof data !== "string") {
        queue.push(new Uint8Array(data));
        return wake?.();
      }
      const { status, type = "" } = JSON.parse(data);
      resolve(new Response(EMPTY.includes(status) ? null : body, { status, headers: { "Content-Type": type } }));
    };
    socket.onclose = ({ code }) => {
      signal?.removeEventListener("abort", abort);
      reject(lost());
      ends(code === 1000 ? (c) => c.close() : (c) => c.error(lost()));
    };
  });
}

// field adds a line of server-sent events to the event it belongs to: {id, event, data}.
export function field(line, event) {
  const colon = line.indexOf(":");
  if (colon <= 0) return event;
  const name = line.slice(0, colon), value = line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
  if (name === "data") event.data = event.data === undefined ? value : event.data + "\n" + value;
  else if (name === "id" || name === "event") event[name] = value;
  return event;
}

// listen hands on server-sent events until their stream ends: on[event](what its data says).
export async function listen(address, on, signal) {
  const res = await openStream(address, signal);
  if (!res.ok) throw new Error(`The server answered ${res.status}.`);
  const reader = res.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = "", event = {}; ; ) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (line !== "") event = field(line, event);
      else {
        try {
          if (event.data !== undefined && !signal.aborted) on[event.event]?.(JSON.parse(event.data));
        } catch (err) {
          reportError(err); // a fault of the page: the stream goes on
        }
        event = {};
      }
    }
  }
}
