// What changes on the server changes on the page: rows that come drawn are put in place, and whatever shows a topic
// that changed asks for itself again. Nothing here decides; a page that missed something draws itself anew.
import htmx from "htmx.org";
import { follow } from "./live-stream.js";

const root = document.documentElement;
const again = new WeakMap();
const GAP_MS = 50;

export function startLive() {
  const { feed, worker, lang, session } = document.body.dataset;
  if (!feed) return;
  const key = `${session}|${lang}`;
  const listen = window.SharedWorker ? overWorker : overPage;
  listen({ url: worker, from: feed, key }, take);
}

function take(message) {
  if (message.type === "state") root.dataset.connection = message.state;
  else if (message.type === "reset") document.querySelectorAll("[data-live]").forEach(refresh);
  else apply(message.data);
}

function overWorker({ url, from, key }, heard) {
  let port;
  const join = () => {
    port = new SharedWorker(url, "hub-live").port;
    port.onmessage = ({ data }) => heard(data);
    port.postMessage({ type: "hello", from, key });
  };
  join();
  addEventListener("pagehide", () => port.postMessage({ type: "bye" }));
  addEventListener("pageshow", ({ persisted }) => {
    if (!persisted) return;
    join();
    heard({ type: "reset" });
  });
}

function overPage({ from }, heard) {
  follow(from, heard);
}

function apply({ topics, html }) {
  const placed = html.filter(place);
  for (const element of document.querySelectorAll("[data-live]")) {
    const shown = element.dataset.live.split(" ");
    if (!topics.some((topic) => shown.includes(topic))) continue;
    if (placed.some(({ target }) => document.querySelector(target)?.closest("[data-live]") === element)) continue;
    refresh(element);
  }
}

// A piece that came drawn: {target, swap, html}; true where the page has a place for it.
function place({ target, swap, html }) {
  const [style, into] = swap.split(/:(.*)/);
  const there = document.querySelector(target);
  if (style === "delete") {
    there?.remove();
    return there !== null;
  }
  const parent = into ? document.querySelector(into) : null;
  if (!there && !parent) return false;
  const where = there ?? parent;
  htmx.swap({ target: where, text: html, swap: `${there ? "outerMorph" : style} ignoreTitle:true`, sourceElement: where });
  return true;
}

// At once, and once more after a pause when more came meanwhile: a burst costs two requests, not twenty. What only
// looks on from another page (`data-gap`, ms) may be later.
function refresh(element) {
  if (again.has(element)) {
    again.set(element, true);
    return;
  }
  again.set(element, false);
  // What somebody edits in its place (`data-edits`) is not drawn anew under the hands; saving draws it.
  if (!("edits" in element.dataset && element.querySelector("form"))) htmx.trigger(element, "hub:refresh");
  setTimeout(() => {
    const wanted = again.get(element);
    again.delete(element);
    if (wanted && element.isConnected) refresh(element);
  }, Number(element.dataset.gap ?? GAP_MS));
}
