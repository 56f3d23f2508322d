// Who signs, and texts that are kept: another sender brings its own signature, a template is filled for the letter.
import { field, said, toast } from "./asking.js";
import { signatureOf } from "./signature.js";

export function startPhrases(form, editor, saving) {
  const sender = form.querySelector("[data-sender]");
  let signature = signatureOf(form);
  sender?.addEventListener("change", () => {
    const next = signatureOf(form);
    if (next !== signature) editor.sign(next, Boolean(signature));
    signature = next;
    saving.changed();
  });
  const menu = form.querySelector("[data-templates]");
  if (!menu) return;
  menu.hidden = false;
  menu.addEventListener("click", async ({ target }) => {
    const id = target.closest("[data-template]")?.dataset.template;
    if (!id) return;
    menu.open = false;
    const mailbox = (sender?.selectedOptions?.[0] ?? sender)?.dataset.mailbox ?? "";
    const about = new URLSearchParams({ client: field(form, "client").value, contact: field(form, "contact").value, mailbox });
    try {
      const answer = await fetch(`/templates/${id}/filled?${about}`, { headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error(String(answer.status));
      const letter = await answer.json();
      form.classList.remove("composer--closed");
      editor.insertHTML(letter.html);
      const subject = field(form, "subject");
      if (!subject.value.trim()) subject.value = letter.subject;
      saving.changed();
    } catch {
      toast(said(form, "NoTemplate"));
    }
  });
}
