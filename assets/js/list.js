// Lists of records: what opens above the rows (a filter, columns, a view) closes by its button and by Esc and gives the
// focus back; columns move by their buttons.

const ticked = new Set();
const boxes = () => document.querySelectorAll("[data-tick]");

export function startList() {
  document.addEventListener("click", (event) => {
    const cancel = event.target.closest?.("#filter [data-close-filter]");
    if (!cancel || !closeFilter()) return;
    event.preventDefault();
  });
  document.addEventListener("click", ({ target }) => move(target.closest?.("[data-order] [data-move]")));
  document.addEventListener("change", ({ target }) => tick(target));
  document.addEventListener("click", ({ target }) => {
    if (target.closest?.("[data-untick]")) untick();
    const link = target.closest?.("[data-export-ticked]");
    if (link) addIds(link);
  });
  // Rows that are drawn anew keep their ticks.
  document.addEventListener("htmx:after:swap", () => {
    if (!boxes().length) return;
    for (const box of boxes()) box.checked = ticked.has(box.value);
    show();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.defaultPrevented || !event.target.closest?.("#filter")) return;
    if (closeFilter()) event.preventDefault();
  });
}

function closeFilter() {
  const place = document.querySelector("#filter");
  if (!place?.querySelector("form") || !document.querySelector(".filters")) return false;
  place.replaceChildren();
  document.querySelector(".filters summary")?.focus();
  return true;
}

function move(button) {
  const row = button?.closest("li");
  if (!row) return;
  if (button.dataset.move === "1") row.nextElementSibling?.after(row);
  else row.previousElementSibling?.before(row);
  button.focus();
}

function tick(box) {
  if (box.matches?.("[data-tick-all]")) for (const one of boxes()) one.checked = box.checked;
  else if (!box.matches?.("[data-tick]")) return;
  for (const one of boxes()) ticked[one.checked ? "add" : "delete"](one.value);
  show();
}

function untick() {
  ticked.clear();
  for (const one of document.querySelectorAll("[data-tick], [data-tick-all], #bulk [name=all]")) one.checked = false;
  show();
  boxes()[0]?.focus();
}

function show() {
  const bar = document.querySelector("#bulk");
  if (!bar) return;
  bar.hidden = ticked.size === 0;
  bar.querySelector("[data-ticked]").textContent = ticked.size;
}

function addIds(link) {
  const address = new URL(link.href);
  if (document.querySelector("#bulk [name=all]")?.checked) address.searchParams.delete("ids");
  else address.searchParams.set("ids", [...ticked].join(","));
  link.href = address.href;
}
