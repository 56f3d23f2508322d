// Each click that asks something of a PBX bears a name, so that a second one of the same breath does nothing. Once it
// was answered and a breath has passed, the button gets a new name: then whoever clicks means it anew.

const BREATH_MS = 3000;

export function startClicks() {
  document.addEventListener("htmx:after:request", ({ detail: { ctx } }) => {
    const button = ctx.sourceElement?.closest?.("[data-click]");
    if (button) setTimeout(() => rename(button), BREATH_MS);
  });
  document.addEventListener("click", ({ target }) => {
    const opener = target.closest?.("[data-open-part]");
    if (opener) openPart(opener);
  });
}

function rename(button) {
  const values = JSON.parse(button.getAttribute("hx-vals"));
  const bytes = crypto.getRandomValues(new Uint8Array(8));
  values.request_id = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  button.setAttribute("hx-vals", JSON.stringify(values));
}

function openPart(opener) {
  const part = document.getElementById(opener.dataset.openPart);
  if (!part) return;
  part.hidden = !part.hidden;
  opener.setAttribute("aria-expanded", String(!part.hidden));
  if (!part.hidden) part.querySelector("input")?.focus();
}
