// Lists of records: the form of a filter closes by its button and by Esc, and gives the focus back.

export function startList() {
  document.addEventListener("click", (event) => {
    const cancel = event.target.closest?.("#filter [data-close-filter]");
    if (!cancel || !closeFilter()) return;
    event.preventDefault();
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
