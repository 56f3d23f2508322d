// Whom the first letters may mean: a list under the field, by arrows and Enter or by a click (the combobox of ARIA).

const AFTER_MS = 150;

export function startPeople(form) {
  for (const input of form.querySelectorAll("[data-people]")) start(form, input);
}

function start(form, input) {
  const list = document.createElement("ul");
  list.className = "people";
  list.id = `${input.id}-people`;
  list.setAttribute("role", "listbox");
  list.hidden = true;
  input.parentElement.append(list);
  for (const [name, value] of [["role", "combobox"], ["aria-autocomplete", "list"], ["aria-controls", list.id], ["aria-expanded", "false"]]) input.setAttribute(name, value);
  let timer = 0;
  let asked = 0;

  const last = () => input.value.slice(input.value.lastIndexOf(",") + 1).trim();
  const close = () => {
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };

  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(ask, AFTER_MS);
  });
  input.addEventListener("blur", () => setTimeout(close, 150));
  input.addEventListener("keydown", (event) => {
    if (list.hidden) return;
    const now = list.querySelector("[aria-selected=true]");
    if (event.code === "ArrowDown" || event.code === "ArrowUp") {
      const to = event.code === "ArrowDown" ? (now?.nextElementSibling ?? list.firstElementChild) : (now?.previousElementSibling ?? list.lastElementChild);
      now?.setAttribute("aria-selected", "false");
      to.setAttribute("aria-selected", "true");
      input.setAttribute("aria-activedescendant", to.id);
      event.preventDefault();
    } else if ((event.code === "Enter" || event.code === "Tab") && now) {
      event.preventDefault();
      take(now);
    } else if (event.code === "Escape") {
      event.stopPropagation();
      close();
    }
  });
  list.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    const one = event.target.closest("li");
    if (one) take(one);
  });

  async function ask() {
    const text = last();
    if (text.length < 2 || text.includes("<")) return close();
    const mine = ++asked;
    const query = new URLSearchParams({ q: text, client: form.elements.client.value });
    const answer = await fetch(`/compose/people?${query}`).catch(() => null);
    if (!answer?.ok || mine !== asked || document.activeElement !== input) return;
    const { people } = await answer.json();
    list.replaceChildren(...people.map(row));
    list.hidden = people.length === 0;
    input.setAttribute("aria-expanded", String(people.length > 0));
  }

  function row({ name, address, of }, number) {
    const one = document.createElement("li");
    one.id = `${list.id}-${number}`;
    one.setAttribute("role", "option");
    one.setAttribute("aria-selected", "false");
    const plain = /^[\p{L}\p{N} _'-]+$/u.test(name);
    one.dataset.line = name ? `${plain ? name : `"${name.replace(/[\\"]/g, "")}"`} <${address}>` : address;
    const who = document.createElement("span");
    who.textContent = name;
    const where = document.createElement("span");
    where.className = "muted";
    where.textContent = of && of !== name ? `${address} · ${of}` : address;
    one.append(who, where);
    return one;
  }

  function take(one) {
    const before = input.value.slice(0, input.value.lastIndexOf(",") + 1);
    input.value = `${before ? `${before.trim()} ` : ""}${one.dataset.line}, `;
    close();
    input.focus();
    input.dispatchEvent(new Event("input", { bubbles: true }));
    clearTimeout(timer);
  }
}
