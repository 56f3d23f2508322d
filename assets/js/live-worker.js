// The browser's one stream, shared by all its tabs: HTTP/1.1 gives a host six connections, and a manager has more tabs.
//
// A page says hello with the feed's position it was drawn at; what it has missed since is told from the last events
// kept here, or it is told to draw itself anew. Another session or language is another stream.

import { follow } from "./live-stream.js";

const KEPT = 300;
const ports = new Set();
let stop = null;
let key = "";
let position = "";
let state = "opening";
let kept = [];

self.onconnect = ({ ports: [port] }) => {
  port.onmessage = ({ data }) => (data.type === "hello" ? hello(port, data) : bye(port));
  port.start();
};

function hello(port, page) {
  ports.add(port);
  if (page.key !== key || stop === null) {
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
  state = "opening";
  stop = follow(position, (message) => {
    if (message.type === "state") {
      if (message.state === state) return;
      state = message.state;
      tell({ type: "state", state });
      return;
    }
    position = message.id;
    if (message.type === "reset") kept = [];
    else kept.push(message);
    if (kept.length > KEPT) kept.shift();
    tell(message.type === "reset" ? { type: "reset" } : { type: "change", data: message.data });
  });
}

function close() {
  stop?.();
  stop = null;
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
