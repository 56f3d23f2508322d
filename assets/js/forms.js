// Comforts of forms that work without them: a composer that opens when somebody turns to it, an address that is
// written to by a click on it, filters that apply when they are chosen and leave nothing empty in the address bar.

export function startForms() {
  document.addEventListener("focusin", ({ target }) => open(target.closest?.(".composer--closed")));
  document.addEventListener("click", ({ target }) => write(target.closest?.("[data-write-to]")));
  document.addEventListener("change", ({ target }) => {
    if (target.matches?.("[data-filters] select, [data-filters] [type=date]")) target.form.requestSubmit();
  });
  document.addEventListener("change", ({ target, isTrusted }) => {
    suit(target.form, target.name);
    if (target.name === "kind" && isTrusted) target.dataset.chosen = "";
    if (target.name === "name") guess(target.form);
  });
  document.addEventListener("submit", ({ target }) => {
    for (const one of target.querySelectorAll("[data-when][hidden] [name]")) one.disabled = true;
    if (target.matches("[data-filters]")) for (const one of target.elements) one.disabled = one.value === "" && one.name !== "";
  });
  addEventListener("pageshow", () => {
    for (const one of document.querySelectorAll(":is([data-filters], [data-when]) :disabled")) one.disabled = false;
  });
  document.addEventListener("change", ({ target }) => {
    if (target.matches?.(".file-button input")) name(target);
  });
}

// Shows the fields that the record has with the value just chosen, as a birth date of a person, and no others.
function suit(form, name) {
  for (const one of form?.querySelectorAll("[data-when]") ?? []) {
    if (one.dataset.when === name) one.hidden = !one.dataset.whenIs.split(" ").includes(form.elements[name].value);
  }
}

// Chooses the type of a new client that its name tells, until somebody chooses one.
async function guess(form) {
  const { kind, name } = form?.elements ?? {};
  const from = form?.querySelector("[data-guess]");
  if (!from || !kind || kind.dataset.chosen !== undefined) return;
  const answer = await fetch(`${from.dataset.guess}?${new URLSearchParams({ name: name.value })}`);
  const told = answer.ok ? (await answer.json()).kind : null;
  if (!told || kind.dataset.chosen !== undefined || kind.value === told) return;
  kind.value = told;
  kind.dispatchEvent(new Event("change", { bubbles: true }));
}

function open(composer) {
  composer?.classList.remove("composer--closed");
}

function write(button) {
  const composer = button && document.querySelector("#composer");
  if (!composer) return;
  open(composer);
  const { elements } = composer;
  if (button.dataset.writeTo && elements?.to) {
    elements.to.value = button.dataset.writeTo;
    elements.to.dispatchEvent(new Event("change", { bubbles: true }));
  }
  (composer.querySelector("#c-editor") ?? elements?.text ?? composer).focus({ preventScroll: true });
  composer.scrollIntoView({ block: "center" });
}

function name(input) {
  const label = input.parentElement.querySelector("span");
  label.dataset.empty ??= label.textContent;
  label.textContent = [...input.files].map((file) => file.name).join(", ") || label.dataset.empty;
}
