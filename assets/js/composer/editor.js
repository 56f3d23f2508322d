// The editor: Squire in the textarea's place, with Hub's own few tools. What is pasted is cleaned here so that it looks
// right, and by the server so that it is. Keys are matched by their place on the keyboard.
import DOMPurify from "dompurify";
import Squire from "squire-rte";
import { field, said } from "./asking.js";
import { signatureOf } from "./signature.js";

const CLEAN = {
  ALLOWED_TAGS: "a b strong i em u s del code pre p div br ul ol li blockquote h1 h2 h3 h4 img table thead tbody tr td th hr sub sup span".split(" "),
  ALLOWED_ATTR: ["href", "src", "alt", "colspan", "rowspan", "width", "height", "start", "class"],
  ALLOWED_URI_REGEXP: /^(?:https?:|mailto:|tel:|\/drafts\/\d+\/files\/\d+$)/i,
  RETURN_DOM_FRAGMENT: true,
};
const KEYS = { KeyB: "bold", KeyI: "italic", KeyK: "link", KeyZ: "undo", KeyY: "redo", Backslash: "clear" };
const SHIFTED = { KeyZ: "redo", Digit7: "ol", Digit8: "ul", Digit9: "quote" };

export function startEditor(form) {
  const area = field(form, "text");
  const root = document.createElement("div");
  root.className = "editor input";
  root.id = "c-editor";
  root.setAttribute("role", "textbox");
  root.setAttribute("aria-multiline", "true");
  root.setAttribute("aria-label", area.getAttribute("aria-label"));
  root.dataset.placeholder = area.placeholder;
  area.before(root);
  const caret = document.activeElement === area ? area.selectionEnd : null;
  area.hidden = true;
  area.required = false;
  const tools = form.querySelector("[data-tools]");
  tools.setAttribute("aria-controls", root.id);
  tools.hidden = false;
  const squire = new Squire(root, { blockTag: "P", addLinks: true, sanitizeToDOMFragment: clean });
  const html = field(form, "html").value;
  const signature = signatureOf(form);
  const text = fromText(area.value.endsWith(area.defaultValue) && signature ? area.value.slice(0, -area.defaultValue.length || undefined) : area.value);
  squire.setHTML(html || (signature && !field(form, "draft").value ? (text || "<p><br></p>") + signed(signature) : text));
  squire.moveCursorToStart();
  if (caret !== null) writeOn(squire, root, area.value.slice(0, caret).split("\n"));
  const heard = [];
  const change = () => {
    show(tools, squire);
    root.classList.toggle("editor--empty", isUnwritten(root));
    for (const one of heard) one();
  };
  squire.addEventListener("input", change);
  squire.addEventListener("pathChange", () => show(tools, squire));
  root.classList.toggle("editor--empty", isUnwritten(root));

  const act = (name) => {
    squire.focus();
    DEEDS[name]?.(squire, form);
    change();
  };
  tools.addEventListener("click", ({ target }) => {
    const tool = target.closest("[data-tool]")?.dataset.tool;
    if (tool === "picture") pick(form);
    else if (tool) act(tool);
  });
  tools.addEventListener("pointerdown", (event) => event.preventDefault()); // the selection stays where it is
  // On the form, so that it comes before Squire's own keys, which go by the letter.
  form.addEventListener(
    "keydown",
    (event) => {
      if (!root.contains(event.target) || !(event.ctrlKey || event.metaKey) || event.altKey) return;
      const name = (event.shiftKey ? SHIFTED : KEYS)[event.code];
      if (!name) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      act(name);
    },
    true,
  );
  return {
    root,
    squire,
    onChange: (listener) => heard.push(listener),
    write() {
      const empty = isEmpty(root);
      field(form, "html").value = empty ? "" : squire.getHTML();
      area.value = empty ? "" : root.innerText.replace(/ /g, " ").trim();
    },
    set(value) {
      squire.setHTML(value);
      change();
    },
    insertHTML(html) {
      if (!root.contains(document.getSelection()?.anchorNode)) squire.moveCursorToStart();
      squire.focus();
      squire.insertHTML(html);
      change();
    },
    // The signature of another sender takes the place of the one that stands there; one that was deleted stays away.
    sign(html, had) {
      const old = root.querySelector(".signature");
      if (!old && had) return;
      const top = document.createElement("div");
      top.innerHTML = squire.getHTML();
      top.querySelector(".signature")?.remove();
      squire.setHTML(top.innerHTML + (html ? signed(html) : ""));
      change();
    },
    insert(url, name) {
      squire.focus();
      squire.insertImage(url, { alt: name });
      change();
    },
  };
}

const DEEDS = {
  bold: (squire) => (squire.hasFormat("B") ? squire.removeBold() : squire.bold()),
  italic: (squire) => (squire.hasFormat("I") ? squire.removeItalic() : squire.italic()),
  ul: (squire) => (squire.hasFormat("UL") ? squire.removeList() : squire.makeUnorderedList()),
  ol: (squire) => (squire.hasFormat("OL") ? squire.removeList() : squire.makeOrderedList()),
  quote: (squire) => (squire.hasFormat("BLOCKQUOTE") ? squire.decreaseQuoteLevel() : squire.increaseQuoteLevel()),
  clear: (squire) => squire.removeAllFormatting(),
  undo: (squire) => squire.undo(),
  redo: (squire) => squire.redo(),
  link: (squire, form) => {
    if (squire.hasFormat("A")) return squire.removeLink();
    const chosen = squire.getSelectedText().trim();
    const url = prompt(said(form, "Link"), /^(https?:\/\/|mailto:)/.test(chosen) ? chosen : "https://");
    if (url && /^(https?:\/\/[^\s]+|mailto:[^\s]+)$/i.test(url)) squire.makeLink(url);
  },
};
const SHOWN = { bold: "B", italic: "I", ul: "UL", ol: "OL", quote: "BLOCKQUOTE", link: "A" };

function show(tools, squire) {
  for (const [name, tag] of Object.entries(SHOWN)) {
    tools.querySelector(`[data-tool=${name}]`)?.setAttribute("aria-pressed", String(squire.hasFormat(tag)));
  }
}

// Pasted pictures come as files of their own (files.js); an address on somebody's server tells them who reads.
function clean(html) {
  return document.importNode(DOMPurify.sanitize(html, CLEAN), true);
}

DOMPurify.addHook("afterSanitizeAttributes", (node) => {
  if (node.hasAttribute?.("class") && node.className !== "signature") node.removeAttribute("class");
  if (node.nodeName === "IMG" && !/^\/drafts\/\d+\/files\/\d+$/.test(node.getAttribute("src") ?? "")) node.remove();
});

function fromText(text) {
  const box = document.createElement("div");
  for (const line of text ? text.split("\n") : []) {
    const p = document.createElement("p");
    if (line) p.textContent = line;
    else p.append(document.createElement("br"));
    box.append(p);
  }
  return box.innerHTML;
}

// Who was already typing goes on where the caret stood, after these lines.
function writeOn(squire, root, lines) {
  squire.focus();
  const place = root.children[lines.length - 1]?.firstChild;
  if (place?.nodeType !== Node.TEXT_NODE) return;
  const range = document.createRange();
  range.setStart(place, Math.min(lines.at(-1).length, place.length));
  squire.setSelection(range);
}

const signed = (html) => `<div class="signature">${html}</div>`;

function isUnwritten(root) {
  const copy = root.cloneNode(true);
  copy.querySelector(".signature")?.remove();
  return isEmpty(copy);
}

function isEmpty(root) {
  return !root.textContent.replace(/[​\s]/g, "") && !root.querySelector("img, hr, li");
}

function pick(form) {
  const input = document.createElement("input");
  input.type = "file";
  input.accept = "image/png,image/jpeg,image/gif,image/webp";
  input.multiple = true;
  input.addEventListener("change", () => form.dispatchEvent(new CustomEvent("composer:pictures", { detail: [...input.files] })));
  input.click();
}
