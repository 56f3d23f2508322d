// "Undo" after sending: a toast that counts down and goes along to the next page, and what follows a deed that took a
// row away. Nothing is promised: whether it could be undone, the server says.

const KEY = "undo";

export function startUndo() {
  resume();
  new MutationObserver((changes) => {
    for (const { addedNodes } of changes) for (const node of addedNodes) if (node.nodeType === Node.ELEMENT_NODE) find(node);
  }).observe(document.querySelector("main") ?? document.body, { childList: true, subtree: true });
  document.addEventListener("htmx:after:request", ({ target }) => {
    const gone = target.closest?.("[data-gone]")?.dataset.gone;
    if (gone) setTimeout(() => document.querySelector(gone)?.remove());
  });
}

function find(node) {
  const template = node.matches("template[data-undo]") ? node : node.querySelector("template[data-undo]");
  if (!template) return;
  const until = Date.now() + Number(template.dataset.untilS) * 1000;
  remember({ html: template.innerHTML, until });
  show(template.innerHTML, until, true);
}

function remember(kept) {
  try {
    if (kept) sessionStorage.setItem(KEY, JSON.stringify(kept));
    else sessionStorage.removeItem(KEY);
  } catch {
    // No storage: the toast stays on this page.
  }
}

function resume() {
  try {
    const { html, until } = JSON.parse(sessionStorage.getItem(KEY) ?? "{}");
    if (until > Date.now()) show(html, until, false);
    else remember(null);
  } catch {
    remember(null);
  }
}

function show(html, until, focus) {
  const toasts = document.querySelector("#toasts");
  if (!toasts) return;
  const made = new DOMParser().parseFromString(html, "text/html").body.firstElementChild;
  made.dataset.toastMs = String(Math.max(0, until - Date.now()));
  toasts.append(made);
  window.htmx?.process(made);
  const left = made.querySelector("[data-undo-s]");
  const tick = () => {
    if (!made.isConnected) return;
    left.textContent = String(Math.max(0, Math.ceil((until - Date.now()) / 1000)));
    setTimeout(tick, 250);
  };
  tick();
  made.addEventListener("submit", () => remember(null));
  if (focus) made.querySelector("[data-undo-button]")?.focus({ preventScroll: true });
}
