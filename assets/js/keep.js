// What a person has in view outlives a refresh: the older pages of a timeline that they asked for, and the word that
// somebody was faster, which would else be swept away by the very change that it tells of.

export function startKeep() {
  document.addEventListener("htmx:before:swap", ({ detail: { tasks } }) => {
    for (const { type, target, fragment, swapSpec } of tasks) {
      if (type !== "main" || !(target instanceof Element)) continue;
      if (swapSpec.style === "beforeend") dropKnownDays(fragment);
      else if (target.id === "timeline") keepOlder(target, fragment);
      else keepLost(target, fragment);
    }
  });
  document.addEventListener("animationend", ({ animationName, target }) => {
    if (animationName === "leave") target.remove();
  });
}

function dropKnownDays(fragment) {
  for (const day of fragment.querySelectorAll(".day[id]")) if (document.getElementById(day.id)) day.remove();
}

// The fresh page is the newest entries only; what stands below them stays, with its own way to what is older still.
function keepOlder(old, fragment) {
  const had = [...(old.querySelector("#timeline-entries")?.children ?? [])];
  const has = fragment.querySelector("#timeline-entries");
  if (!has) return;
  const known = new Set([...has.children].map(({ id }) => id));
  const last = had.findLastIndex((li) => !li.matches(".day") && known.has(li.id));
  const below = last < 0 ? [] : had.slice(last + 1).filter(({ id }) => !known.has(id));
  if (!below.length) return;
  has.append(...below.map((li) => li.cloneNode(true)));
  fragment.querySelector("#timeline-older")?.replaceWith(old.querySelector("#timeline-older").cloneNode(true));
}

function keepLost(old, fragment) {
  for (const row of old.querySelectorAll("#queue-waiting > .row--lost")) {
    const list = fragment.querySelector("#queue-waiting");
    if (!list || fragment.querySelector(`#${row.id}`)) continue;
    const place = [...row.parentElement.children].indexOf(row);
    list.insertBefore(row.cloneNode(true), list.children[place] ?? null);
  }
}
