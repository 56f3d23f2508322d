// Lists of records: what opens above the rows (a filter, columns, a view) closes by its button and by Esc and gives the
// focus back; columns move by their buttons.

export function startList() {
  document.addEventListener("click", (event) => {
    const cancel = event.target.closest?.("#filter [data-close-filter]");
    if (!cancel || !closeFilter()) return;
    event.preventDefault();
  });
  document.addEventListener("click", ({ target }) => move(target.closest?.("[data-order] [data-move]")));
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
