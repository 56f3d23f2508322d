// What every page has around it: theme, dialogs, menus, toasts, and the one place where a failed request is said.

const TOAST_MS = 6000;

export function startShell() {
  document.addEventListener("click", click);
  document.addEventListener("htmx:config:request", ({ detail: { ctx } }) => {
    ctx.request.headers["X-CSRF-Token"] = document.querySelector("meta[name=csrf]")?.content ?? "";
  });
  document.addEventListener("htmx:error", ({ detail }) => {
    if (detail.ctx?.sourceElement?.dataset?.live === undefined) toast(document.body.dataset.sayOffline);
  });
  // Who lost a race may have seen the row go before the answer came: then the answer is said aloud.
  document.addEventListener("htmx:response:error", ({ detail: { ctx } }) => {
    if (ctx.target?.isConnected) return;
    const said = new DOMParser().parseFromString(ctx.text, "text/html");
    toast(said.querySelector(".row__title, .toast")?.textContent.trim() || document.body.dataset.sayFailed);
  });
  new MutationObserver((changes) => changes.forEach(({ addedNodes }) => addedNodes.forEach(fade))).observe(
    document.querySelector("#toasts") ?? document.createElement("div"),
    { childList: true },
  );
  show("theme", localStorage.getItem("theme") ?? "");
  for (const button of document.querySelectorAll("[data-toggle]")) showToggle(button);
}

function click({ target }) {
  const on = (name) => target.closest?.(`[data-${name}]`);
  const theme = on("theme-to");
  if (theme) setTheme(theme.dataset.themeTo);
  const dialog = on("open-dialog");
  if (dialog) document.getElementById(dialog.dataset.openDialog)?.showModal();
  if (on("close-dialog")) target.closest("dialog")?.close();
  if (target.matches?.("dialog")) target.close();
  if (on("close")) on("toast")?.remove();
  const toggle = on("toggle");
  if (toggle) {
    const name = toggle.dataset.toggle;
    localStorage.setItem(name, localStorage.getItem(name) === "on" ? "off" : "on");
    showToggle(toggle);
  }
  if (on("close-menu")) closeMenu(target.closest("details.menu"));
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(target)) menu.open = false;
}

// Chosen from: the menu closes and the keyboard stays where it opened.
function closeMenu(menu) {
  if (!menu) return;
  setTimeout(() => {
    menu.open = false;
    menu.querySelector("summary").focus();
  });
}

function setTheme(theme) {
  if (theme) {
    localStorage.setItem("theme", theme);
    document.documentElement.dataset.theme = theme;
  } else {
    localStorage.removeItem("theme");
    delete document.documentElement.dataset.theme;
  }
  show("theme", theme);
  document.dispatchEvent(new Event("hub:theme"));
}

function show(name, value) {
  for (const button of document.querySelectorAll(`[data-${name}-to]`)) {
    button.setAttribute("aria-pressed", String(button.getAttribute(`data-${name}-to`) === value));
  }
}

function showToggle(button) {
  const on = localStorage.getItem(button.dataset.toggle) === "on";
  button.setAttribute("aria-pressed", String(on));
  const state = button.querySelector("[data-toggle-state]");
  if (state) state.textContent = on ? state.dataset.on : state.dataset.off;
}

export function toast(text) {
  const made = document.querySelector("#toast-bad")?.content.cloneNode(true);
  if (!made || !text) return;
  made.querySelector("span").textContent = text;
  document.querySelector("#toasts").append(made);
}

function fade(node) {
  // What is told again takes the place of what was told.
  if (node.id) for (const twin of document.querySelectorAll(`#toasts > #${node.id}`)) if (twin !== node) twin.remove();
  if (node.nodeType === Node.ELEMENT_NODE) setTimeout(() => node.remove(), Number(node.dataset.toastMs ?? TOAST_MS));
}
