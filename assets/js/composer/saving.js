// Saving by itself: a second after typing stops, when the page is left, and on this computer until Hub has it. One save
// at a time; a save on a version that is not the newest changes nothing, says so, and keeps what was typed.
import { field, post, said, state } from "./asking.js";
import { keptName } from "./kept.js";

const AFTER_MS = 1000;
const AGAIN_MS = 5000;

export function startSaving(form, editor) {
  const key = () => keptName(form);
  let timer = 0;
  let dirty = false;
  let running = null;
  let stopped = false;

  const body = () => {
    editor.write();
    const data = new FormData(form);
    data.delete("files");
    data.delete("send_at");
    data.delete("send_on");
    return data;
  };
  const typed = (data) => Object.fromEntries(["to", "cc", "bcc", "subject", "html", "text", "version"].map((name) => [name, data.get(name) ?? ""]));

  function changed() {
    if (stopped) return;
    dirty = true;
    keepHere();
    clearTimeout(timer);
    timer = setTimeout(save, AFTER_MS);
  }

  function keepHere() {
    try {
      localStorage.setItem(key(), JSON.stringify(typed(body())));
    } catch {
      // No storage, or none left: then only Hub keeps it.
    }
  }

  function forgetHere(name = key()) {
    try {
      localStorage.removeItem(name);
    } catch {
      // Nothing was kept either.
    }
  }

  // Returns true once everything typed so far is with Hub.
  async function save() {
    clearTimeout(timer);
    while (running) await running;
    if (stopped || !dirty) return !dirty;
    dirty = false;
    running = send();
    const ok = await running;
    running = null;
    return ok && !dirty;
  }

  async function send() {
    state(form, said(form, "Saving"));
    const draft = field(form, "draft").value;
    const before = key();
    const { ok, status, data } = await post(draft ? `/drafts/${draft}` : "/drafts", body());
    if (ok) {
      field(form, "draft").value = data.draft;
      field(form, "version").value = data.version;
      if (!dirty) {
        forgetHere(before);
        forgetHere();
      }
      state(form, said(form, "Saved"));
      if (!draft) form.dispatchEvent(new CustomEvent("composer:draft", { detail: data.draft }));
      return true;
    }
    const code = data.error?.code;
    if (status === 409) {
      stopped = true;
      if (code === "draft_sent") state(form, said(form, "Sent"), "bad");
      else newer(data.error.details.draft);
      return false;
    }
    dirty = true;
    state(form, status === 0 || status >= 500 ? said(form, "Unsaved") : (data.error?.message ?? said(form, "Unsaved")), "bad");
    timer = setTimeout(save, AGAIN_MS);
    return false;
  }

  function newer(draft) {
    state(form, said(form, "Newer"), "bad");
    const link = document.createElement("a");
    link.href = `/drafts/${draft}`;
    link.target = "_blank";
    link.textContent = `#${draft}`;
    form.querySelector("[data-state]").append(" ", link);
  }

  // What a crash left here and Hub never got: only where Hub's version is the one it was typed over.
  function recover() {
    let kept;
    try {
      kept = JSON.parse(localStorage.getItem(key()) ?? "null");
    } catch {
      return;
    }
    if (!kept || kept.version !== field(form, "version").value) return forgetHere();
    editor.write();
    if (["to", "cc", "bcc", "subject", "html"].every((name) => kept[name] === field(form, name).value)) return forgetHere();
    if (!kept.html && !kept.subject) return;
    for (const name of ["to", "cc", "bcc", "subject"]) field(form, name).value = kept[name];
    editor.set(kept.html);
    form.classList.remove("composer--closed");
    state(form, said(form, "Found"));
    dirty = true;
    timer = setTimeout(save, AFTER_MS);
  }

  // The editor also tells of what it does by itself, such as putting its own markup around what was there.
  editor.write();
  let written = field(form, "html").value;
  editor.onChange(() => {
    editor.write();
    if (field(form, "html").value === written) return;
    written = field(form, "html").value;
    changed();
  });
  form.addEventListener("input", ({ target }) => {
    if (target.name && target.type !== "file" && !target.name.startsWith("send_")) changed();
  });
  form.addEventListener("focusout", ({ relatedTarget }) => {
    if (dirty && !form.contains(relatedTarget)) save();
  });
  addEventListener("pagehide", () => {
    if (!dirty || stopped || running) return;
    const draft = field(form, "draft").value;
    navigator.sendBeacon(draft ? `/drafts/${draft}` : "/drafts", body());
  });
  recover();
  return {
    changed,
    save,
    body,
    stop() {
      stopped = true;
      clearTimeout(timer);
      forgetHere();
    },
    // What was refused was saved before: `draft:version`, as Hub says.
    saved(said) {
      if (!said) return;
      [field(form, "draft").value, field(form, "version").value] = said.split(":");
    },
    // A draft's id, made now where nothing was typed yet.
    async draft() {
      if (!field(form, "draft").value) {
        dirty = true;
        await save();
      }
      return field(form, "draft").value;
    },
  };
}
