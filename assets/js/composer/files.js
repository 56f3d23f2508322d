// Files: by the picker, dropped, or pasted; each goes to Hub at once with its progress and may be removed again. A
// pasted or dropped picture stands in the text. What is too large is said before it is sent.
import { field, said, toast } from "./asking.js";

const PICTURES = ["image/png", "image/jpeg", "image/gif", "image/webp"];

export function startFiles(form, editor, saving) {
  const list = form.querySelector("[data-files]");
  const chip = form.querySelector("template[data-file-chip]");
  const picker = field(form, "files");
  const most = Number(form.dataset.maxBytes);
  const under = new Set();
  let used = 0;

  picker.addEventListener("change", () => {
    add([...picker.files], false);
    picker.value = "";
  });
  if (picker.files.length) add([...picker.files], false); // chosen before this script was there
  form.addEventListener("composer:pictures", ({ detail }) => add(detail, true));
  form.addEventListener("dragover", (event) => {
    if (![...event.dataTransfer.types].includes("Files")) return;
    event.preventDefault();
    form.classList.add("composer--drop");
  });
  form.addEventListener("dragleave", ({ relatedTarget }) => {
    if (!form.contains(relatedTarget)) form.classList.remove("composer--drop");
  });
  form.addEventListener(
    "drop",
    (event) => {
      form.classList.remove("composer--drop");
      if (!event.dataTransfer.files.length) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      add([...event.dataTransfer.files], false);
    },
    true,
  );
  // Office programs put a picture of the text beside it: text that is there wins.
  form.addEventListener(
    "paste",
    (event) => {
      if (!editor.root.contains(event.target)) return;
      const files = [...(event.clipboardData?.files ?? [])];
      if (!files.length || event.clipboardData.types.includes("text/rtf") || event.clipboardData.getData("text/plain")) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      add(files, true);
    },
    true,
  );
  list.addEventListener("click", ({ target }) => {
    const one = target.closest("[data-remove]")?.closest("[data-chip]");
    if (one) remove(one);
  });

  async function add(files, inline) {
    for (const file of files) {
      if (used + file.size > most) toast(said(form, "Large", file.name));
      else {
        used += file.size;
        const going = send(file, inline && PICTURES.includes(file.type)).catch(() => {});
        under.add(going);
        going.finally(() => under.delete(going));
        await going;
      }
    }
  }

  async function send(file, inline) {
    const row = inline ? null : drawn(file);
    const draft = await saving.draft();
    const result = draft ? await upload(`/drafts/${draft}/files`, file, inline, row) : null;
    if (!result) {
      used -= file.size;
      row?.remove();
      toast(said(form, "Failed", file.name));
      return;
    }
    if (inline) editor.insert(result.url, file.name);
    else {
      row.dataset.file = result.id;
      row.querySelector("progress").remove();
    }
  }

  function drawn(file) {
    const row = chip.content.cloneNode(true).firstElementChild;
    row.querySelector("[data-name]").textContent = file.name;
    row.querySelector("[data-size]").textContent = size(file.size);
    row.dataset.bytes = file.size;
    list.append(row);
    return row;
  }

  // XMLHttpRequest, for only it tells how far it is.
  function upload(url, file, inline, row) {
    return new Promise((done) => {
      const request = new XMLHttpRequest();
      const data = new FormData();
      data.append("csrf", field(form, "csrf").value);
      if (inline) data.append("inline", "on");
      data.append("files", file, file.name);
      request.open("POST", url);
      request.upload.onprogress = ({ loaded, total }) => {
        const bar = row?.querySelector("progress");
        if (bar) bar.value = loaded / total;
      };
      request.onload = () => {
        try {
          done(request.status === 200 ? JSON.parse(request.responseText).files[0] : null);
        } catch {
          done(null);
        }
      };
      request.onerror = () => done(null);
      row?.addEventListener("composer:stop", () => request.abort());
      request.onabort = () => done(null);
      request.send(data);
    });
  }

  async function remove(row) {
    const draft = field(form, "draft").value;
    if (!row.dataset.file) return row.dispatchEvent(new CustomEvent("composer:stop"));
    const headers = { "X-CSRF-Token": field(form, "csrf").value, "HX-Request": "true" };
    const answer = await fetch(`/drafts/${draft}/files/${row.dataset.file}/remove`, { method: "POST", headers }).catch(() => null);
    if (!answer?.ok) return;
    used -= Number(row.dataset.bytes ?? 0);
    row.remove();
    picker.focus();
  }

  return { settled: () => Promise.all(under) };
}

function size(bytes) {
  const [unit, by] = bytes >= 2 ** 20 ? ["megabyte", 2 ** 20] : bytes >= 1024 ? ["kilobyte", 1024] : ["byte", 1];
  return new Intl.NumberFormat(document.documentElement.lang, { style: "unit", unit, unitDisplay: "short", maximumFractionDigits: 1 }).format(bytes / by);
}
