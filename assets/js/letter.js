// The page of a conversation: what is before one's eyes is read, frames as tall as what they show, messages that stay unfolded when the list is drawn
// anew, and the word to others that somebody is writing an answer here.

const MAX_PX = 30_000;
const MAX_STEPS = 60;
const PING_MS = 20_000;

export function startLetter() {
  const look = () => (fit(), read());
  look();
  document.addEventListener("hub:theme", paint);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
  document.addEventListener("htmx:after:swap", look);
  document.addEventListener("htmx:before:swap", ({ detail: { tasks } }) => {
    for (const { type, target, fragment } of tasks) {
      if (type === "main" && target instanceof Element && target.matches(".mails")) keepUnfolded(target, fragment);
    }
  });
  const place = document.querySelector("[data-answering]");
  if (place) tellWriting(place);
}

// A message that somebody has before their eyes is read. Told once for each drawing of it.
function read() {
  for (const body of document.querySelectorAll(".mail__body[data-unread]")) {
    const url = body.dataset.unread;
    delete body.dataset.unread;
    const form = new URLSearchParams({ seen: "1" });
    fetch(url, { method: "POST", body: form, headers: { "HX-Request": "true", "X-CSRF-Token": token() } });
  }
}

function token() {
  return document.querySelector("meta[name=csrf]").content;
}

// The frame may run nothing, and is of our origin so that its height can be read. A mail whose height follows the
// frame's (100vh) would grow for ever: after some steps it stays as it is and scrolls.
function fit() {
  for (const frame of document.querySelectorAll("iframe.letter__frame:not([data-fits])")) {
    frame.dataset.fits = "";
    frame.addEventListener("load", () => follow(frame));
    if (frame.contentDocument?.readyState === "complete" && frame.contentDocument.URL !== "about:blank") follow(frame);
  }
}

// A letter has the theme of the page around it, also where a person chose another than their system's.
function paint() {
  for (const frame of document.querySelectorAll("iframe.letter__frame")) {
    const root = frame.contentDocument?.documentElement;
    if (root) root.dataset.scheme = scheme();
  }
}

function scheme() {
  return document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
}

function follow(frame) {
  const root = frame.contentDocument?.documentElement;
  if (!root) return;
  root.dataset.scheme = scheme();
  let steps = 0;
  const measure = () => {
    const px = Math.min(Math.ceil(root.getBoundingClientRect().height) + bar(root), MAX_PX);
    if (Math.abs(px - Number(frame.height)) < 2) return;
    if (px > Number(frame.height) && ++steps > MAX_STEPS) return void watcher.disconnect();
    frame.height = String(px);
  };
  const watcher = new frame.contentWindow.ResizeObserver(measure);
  watcher.observe(root);
  measure();
}

// A wide table scrolls sideways; its bar stands below the text, not over it.
function bar(root) {
  return root.scrollWidth > root.clientWidth ? 16 : 0;
}

function keepUnfolded(old, fragment) {
  for (const body of old.querySelectorAll(".mail__body[data-loaded]")) {
    fragment.querySelector(`#${body.id}`)?.replaceWith(body.cloneNode(true));
  }
}

function tellWriting(place) {
  let told = 0;
  let typed = false;
  const say = (more) => {
    const form = new URLSearchParams({ csrf: token(), ...more });
    return navigator.sendBeacon ? navigator.sendBeacon(place.dataset.answering, form) : fetch(place.dataset.answering, { method: "POST", body: form, keepalive: true });
  };
  const ping = () => {
    if (!typed || !isWriting(place) || Date.now() - told < PING_MS - 1000) return;
    told = Date.now();
    say({});
  };
  const done = () => {
    if (told) say({ done: "1" });
    told = 0;
    typed = false;
  };
  place.addEventListener("input", ({ target }) => {
    typed ||= target.matches("textarea, [contenteditable=true]");
    ping();
  });
  place.addEventListener("focusin", ping);
  setInterval(ping, PING_MS);
  addEventListener("pagehide", done);
  document.addEventListener("htmx:after:request", ({ detail: { ctx } }) => {
    if (place.contains(ctx.sourceElement) && ctx.sourceElement.matches("form") && ctx.response?.raw?.ok) done();
  });
}

// Somebody writes who has typed, while a field of the answer has the focus and a text: a signature alone is none of theirs.
function isWriting(place) {
  if (!place.contains(document.activeElement)) return false;
  const text = [...place.querySelectorAll("textarea, [contenteditable=true]")];
  return text.some((field) => (field.value ?? field.textContent).trim() !== "");
}
