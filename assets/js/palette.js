// The search box: opened by Ctrl+K, "/" or a click; the arrows choose, Enter goes, Esc closes. What it offers comes
// from the server for each word; here is only which of it is chosen.

let dialog = null;
let input = null;
let list = null;

export function startPalette() {
  dialog = document.querySelector("#palette");
  if (!dialog) return;
  input = dialog.querySelector("input");
  list = dialog.querySelector("[role=listbox]");
  document.addEventListener("keydown", (event) => {
    if (event.code !== "KeyK" || !(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey || event.repeat) return;
    // Within a letter the same keys make a link.
    if (event.target.closest?.("[contenteditable]")) return;
    event.preventDefault();
    if (dialog.open) dialog.close();
    else openPalette();
  });
  dialog.addEventListener("keydown", press);
  dialog.addEventListener("toggle", () => {
    if (!dialog.open) return;
    input.value = "";
    window.htmx.trigger(input, "palette:open");
  });
  document.addEventListener("htmx:after:swap", ({ detail: { ctx } }) => {
    if (ctx.sourceElement === input) choose(options()[0]);
  });
}

export function openPalette() {
  if (dialog && !dialog.open) dialog.showModal();
}

function options() {
  return [...list.querySelectorAll("[role=option]:not([aria-disabled])")];
}

function press(event) {
  const all = options();
  const now = all.findIndex((one) => one.getAttribute("aria-selected") === "true");
  if (event.key === "ArrowDown") choose(all[(now + 1) % all.length]);
  else if (event.key === "ArrowUp") choose(all.at(now - 1));
  else if (event.key === "Enter" && now >= 0) all[now].click();
  else return;
  event.preventDefault();
}

function choose(option) {
  for (const one of options()) one.setAttribute("aria-selected", String(one === option));
  if (option) input.setAttribute("aria-activedescendant", option.id);
  else input.removeAttribute("aria-activedescendant");
  option?.scrollIntoView({ block: "nearest" });
}
