// Esc closes what opened last, whatever it is. Dialogs and popovers the browser closes itself, the newest first; what
// opens within the page (a menu, the list of whom to transfer to) is remembered here in the order of its opening.

const opened = [];

export function startEscape() {
  document.addEventListener("toggle", ({ target }) => target.matches?.("details.menu") && remember(target, target.open), true);
  document.addEventListener("click", ({ target }) => {
    const opener = target.closest?.("[data-open-part]");
    if (opener) queueMicrotask(() => remember(opener, opener.getAttribute("aria-expanded") === "true"));
  });
  document.addEventListener("keydown", press);
}

function remember(element, isOpen) {
  const place = opened.indexOf(element);
  if (place >= 0) opened.splice(place, 1);
  if (isOpen) opened.push(element);
}

function press(event) {
  if (event.key !== "Escape" || event.defaultPrevented || document.querySelector("dialog[open], [popover]:popover-open")) return;
  while (opened.length) {
    const last = opened.pop();
    if (!last.isConnected) continue;
    event.preventDefault();
    if (last.matches("details")) {
      last.open = false;
      last.querySelector("summary").focus();
    } else {
      if (last.getAttribute("aria-expanded") === "true") last.click();
      last.focus();
    }
    return;
  }
}
