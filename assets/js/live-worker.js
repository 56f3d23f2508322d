// The browser's one stream, shared by all its tabs: HTTP/1.1 gives a host six connections, and a manager has more tabs.
//
// A page says hello with the feed's position it was drawn at; what it has missed since is told from the last events
// kept here, or it is told to draw itself anew. Another session or language is another stream.

const KEPT = 300;
const ports = new Set();
let source = null;
let key = "";
let position = "";
let state = "opening";
let kept = [];
let retryMs = 1000;
let retry = 0;

self.onconnect = ({ ports: [port] }) => {
  port.onmessage = ({ data }) => (data.type === "hello" ? hello(port, data) : bye(port));
  port.start();
};

function hello(port, page) {
  ports.add(port);
  if (page.key !== key || source === null) {
    for (const other of ports) if (other !== port && page.key !== key) other.postMessage({ type: "reset" });
    key = page.key;
    position = page.from;
    kept = [];
    open();
  }
  const first = kept.length ? kept[0].before : position;
  if (newer(first, page.from)) port.postMessage({ type: "reset" });
  else for (const { id, data } of kept) if (newer(id, page.from)) port.postMessage({ type: "change", data });
  port.postMessage({ type: "state", state });
}

function bye(port) {
  ports.delete(port);
  port.close();
  if (!ports.size) close();
}

function open() {
  close();
  const opened = new EventSource(`/live?from=${encodeURIComponent(position)}`);
  source = opened;
  opened.onopen = () => {
    retryMs = 1000;
    tell({ type: "state", state: (state = "live") });
  };
  opened.addEventListener("change", ({ lastEventId, data }) => {
    const event = { id: lastEventId, before: position, data: JSON.parse(data) };
    position = lastEventId;
    kept.push(event);
    if (kept.length > KEPT) kept.shift();
    tell({ type: "change", data: event.data });
  });
  opened.addEventListener("reset", ({ lastEventId }) => {
    position = lastEventId;
    kept = [];
    tell({ type: "reset" });
  });
  opened.onerror = () => {
    tell({ type: "state", state: (state = "lost") });
    // A refusal ends an EventSource for good; a lost line it mends itself, with Last-Event-ID.
    if (opened.readyState === EventSource.CLOSED && source === opened) {
      retry = setTimeout(open, retryMs);
      retryMs = Math.min(retryMs * 2, 30000);
    }
  };
}

function close() {
  clearTimeout(retry);
  source?.close();
  source = null;
}

function tell(message) {
  for (const port of ports) port.postMessage(message);
}

// Positions are "transaction.id", both whole numbers that may pass 2^53.
function newer(one, other) {
  if (!one || !other) return one !== other;
  const [tx, id] = one.split(".").map(BigInt);
  const [otherTx, otherId] = other.split(".").map(BigInt);
  return tx > otherTx || (tx === otherTx && id > otherId);
}
