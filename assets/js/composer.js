// The composer: an editor in the place of the textarea, saved by itself, files with progress, people by first letters.
// Each part works on the one form; the form without any of them still sends.
import { startEditor } from "./composer/editor.js";
import { startPhrases } from "./composer/phrases.js";
import { startFiles } from "./composer/files.js";
import { startPeople } from "./composer/people.js";
import { startSaving } from "./composer/saving.js";
import { startSending } from "./composer/sending.js";

const form = document.querySelector("form[data-composer]");
if (form && !form.dataset.started) {
  form.dataset.started = "yes";
  // Without a script the words of the textarea count, and no older HTML beside them.
  form.elements.namedItem("html").disabled = false;
  const editor = startEditor(form);
  const saving = startSaving(form, editor);
  const files = startFiles(form, editor, saving);
  startPeople(form);
  startPhrases(form, editor, saving);
  startSending(form, saving, files);
  if (form.dataset.typed) saving.changed(); // before this script was there
}
