// The composer's script is the heaviest of all: a page loads it when somebody turns to the form, or when words are kept
// on this computer that never reached Hub. Until it runs, the form is a plain one, and nothing typed in it is lost.
import { toast } from "./composer/asking.js";
import { isKept } from "./composer/kept.js";
import { signatureOf } from "./composer/signature.js";

export function startComposing() {
  const form = document.querySelector("form[data-composer-script]");
  if (!form) return;
  const { text } = form.elements;
  // The editor brings the signature with its form; until then the place says what it is for.
  if (signatureOf(form) && text.value === text.defaultValue) text.value = "";
  let loading = null;
  const load = () => (loading ??= run(form.dataset.composerScript).catch(() => (loading = null)));
  for (const turn of ["focusin", "pointerenter", "dragenter"]) form.addEventListener(turn, load);
  form.addEventListener("input", () => {
    if (!form.dataset.started) form.dataset.typed = "yes";
  });
  form.addEventListener("click", async ({ target }) => {
    const tool = target.closest("[data-tool]");
    if (!tool || form.dataset.started) return;
    await load();
    if (form.dataset.started) tool.click();
  });
  form.addEventListener("submit", async (event) => {
    if (form.dataset.started) return;
    const { submitter } = event;
    event.preventDefault();
    await load();
    if (form.dataset.started) form.requestSubmit(submitter);
    else toast(document.body.dataset.sayOffline);
  });
  // What was kept takes the place of what stands there, so nothing is typed before.
  form.inert = isKept(form);
  if (form.inert) load().finally(() => (form.inert = false));
}

function run(src) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = src;
    script.onload = resolve;
    script.onerror = reject;
    document.head.append(script);
  });
}
