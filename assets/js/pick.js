// A record of another kind is found by typing its name: a list under the field, by arrows and Enter or by a click (the
// combobox of ARIA). Without this script the field takes the record's id.

const AFTER_MS = 150;

export function startPick() {
  document.querySelectorAll("[data-pick]").forEach(start);
  document.addEventListener("htmx:after:swap", () => document.querySelectorAll("[data-pick]").forEach(start));
}

function start(place) {
  if (place.dataset.started) return;
  place.dataset.started = "yes";
  const id = place.querySelector("[data-pick-id]");
  const input = id.cloneNode();
  input.removeAttribute("name");
  input.removeAttribute("inputmode");
  input.value = id.dataset.pickName || "";
  id.type = "hidden";
  id.removeAttribute("id");
  const list = document.createElement("ul");
  list.className = "pick__list";
  list.id = `${input.id}-list`;
  list.setAttribute("role", "listbox");
  list.hidden = true;
  for (const [name, value] of [["role", "combobox"], ["aria-autocomplete", "list"], ["aria-controls", list.id], ["aria-expanded", "false"], ["autocomplete", "off"]]) input.setAttribute(name, value);
  place.append(input, list);
  let timer = 0;
  let asked = 0;

  const show = (is) => {
    list.hidden = !is;
    input.setAttribute("aria-expanded", String(is));
    if (!is) input.removeAttribute("aria-activedescendant");
  };
  const take = (one) => {
    id.value = one.dataset.id;
    input.value = one.textContent;
    id.dataset.pickName = one.textContent;
    show(false);
  };
  input.addEventListener("input", () => {
    if (input.value.trim() === "") id.value = "";
    clearTimeout(timer);
    timer = setTimeout(ask, AFTER_MS);
  });
  // What was typed without choosing is no record: the field goes back to the one it has.
  input.addEventListener("blur", () => {
    show(false);
    input.value = id.value ? id.dataset.pickName || "" : "";
  });
  input.addEventListener("keydown", (event) => {
    if (list.hidden) return;
    const now = list.querySelector("[aria-selected=true]");
    if (event.code === "ArrowDown" || event.code === "ArrowUp") {
      const down = event.code === "ArrowDown";
      const to = (down ? now?.nextElementSibling : now?.previousElementSibling) ?? (down ? list.firstElementChild : list.lastElementChild);
      now?.setAttribute("aria-selected", "false");
      to.setAttribute("aria-selected", "true");
      input.setAttribute("aria-activedescendant", to.id);
      event.preventDefault();
    } else if (event.code === "Enter" && now) {
      event.preventDefault();
      take(now);
    } else if (event.code === "Escape") {
      event.stopPropagation();
      show(false);
    }
  });
  list.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    const one = event.target.closest("li");
    if (one) take(one);
  });

  async function ask() {
    const q = input.value.trim();
    if (!q) return show(false);
    const mine = ++asked;
    const answer = await fetch(`${place.dataset.pick}?${new URLSearchParams({ q })}`).catch(() => null);
    if (!answer?.ok || mine !== asked || document.activeElement !== input) return;
    const { items } = await answer.json();
    list.replaceChildren(...items.map(row));
    show(items.length > 0);
  }

  function row({ id: value, name }, number) {
    const one = document.createElement("li");
    one.id = `${list.id}-${number}`;
    one.setAttribute("role", "option");
    one.setAttribute("aria-selected", "false");
    one.dataset.id = value;
    one.textContent = name;
    return one;
  }
}
