// Sending: everything typed and every file is with Hub first, then one request. What is refused is said, and the text
// stays where it is.
import { field, said, state, toast } from "./asking.js";

export function startSending(form, saving, files) {
  let busy = false;
  form.addEventListener("submit", (event) => {
    if (event.submitter?.matches("[data-delete]")) return saving.stop();
    event.preventDefault();
    send(event.submitter);
  });
  form.addEventListener("keydown", (event) => {
    // Enter in a line is no word to send.
    if (event.code.endsWith("Enter") && event.target.matches("input:not([type=checkbox]):not([type=file])")) event.preventDefault();
    if ((event.ctrlKey || event.metaKey) && (event.code === "Enter" || event.code === "NumpadEnter")) {
      event.preventDefault();
      form.requestSubmit(form.querySelector("[data-send]"));
    }
  });

  async function send(button) {
    if (busy) return;
    busy = true;
    form.setAttribute("aria-busy", "true");
    try {
      await files.settled();
      await saving.save();
      const body = saving.body();
      if (button?.name === "send_at") body.set("send_at", button.value);
      else if (field(form, "send_on").value) body.set("send_at", new Date(field(form, "send_on").value).toISOString());
      const headers = { "HX-Request": "true" };
      const answer = await fetch("/compose", { method: "POST", body, headers });
      const text = await answer.text();
      const page = new DOMParser().parseFromString(text, "text/html");
      if (answer.ok) {
        saving.stop();
        const sent = document.importNode(page.querySelector("#composer"), true);
        document.querySelector(".composer-begun")?.remove();
        form.replaceWith(sent);
      } else {
        saving.saved(answer.headers.get("Hub-Draft"));
        toast(page.querySelector("[data-toast] span")?.textContent ?? document.body.dataset.sayFailed);
      }
    } catch {
      state(form, said(form, "Unsaved"), "bad");
      toast(document.body.dataset.sayOffline);
    } finally {
      busy = false;
      form.removeAttribute("aria-busy");
    }
  }
}
