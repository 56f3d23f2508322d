// Letter keys, matched by their place on the keyboard so that they work in a Russian layout, and only where nobody
// is writing. They can be switched off (WCAG 2.1.4).

import { openPalette } from "./palette.js";

const GO = { KeyD: "/desk", KeyC: "/clients", KeyL: "/leads", KeyW: "/wallboard" };
let goes = 0;

export function startKeys() {
  const box = document.querySelector("[data-keys]");
  if (box) {
    box.checked = localStorage.getItem("keys") !== "off";
    box.addEventListener("change", () => localStorage.setItem("keys", box.checked ? "on" : "off"));
  }
  document.addEventListener("keydown", press);
}

function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || localStorage.getItem("keys") === "off") return;
  if (event.target.closest("input, textarea, select, [contenteditable], dialog[open]")) return;
  const done = act(event);
  if (done) event.preventDefault();
}

function act({ code, shiftKey, timeStamp }) {
  if (timeStamp - goes < 1500 && GO[code]) {
    location.assign(GO[code]);
    return true;
  }
  goes = code === "KeyG" ? timeStamp : 0;
  if (code === "Slash" && shiftKey) return open("keys");
  if (code === "Slash") return openPalette() ?? true;
  if (code === "KeyC") return create();
  if (code === "KeyN") return location.assign("/compose") ?? true;
  if (code === "KeyT") return click(firstToTake());
  if (code === "Enter") return click(document.activeElement.matches("[data-row]") && document.activeElement.querySelector("a:not([download]), [data-play]"));
  if (code === "KeyH") return click(document.querySelector("[data-call-key=hold]"));
  if (code === "KeyO") return click(document.querySelector("[data-call-key=card]"));
  if (code === "KeyX") return click(document.querySelector("[data-call-key=transfer]"));
  if (code === "KeyJ") return step(1);
  if (code === "KeyK") return step(-1);
  return false;
}

// Away from the desk only calls are shown: what is out of sight is not taken by a key.
function firstToTake() {
  return [...document.querySelectorAll("#queue-waiting [data-take]")].find((button) => button.checkVisibility());
}

function step(by) {
  const rows = [...document.querySelectorAll("[data-row]")];
  const now = rows.indexOf(document.activeElement.closest?.("[data-row]"));
  return focus(rows[Math.min(Math.max(now + by, 0), rows.length - 1)]);
}

function focus(element) {
  if (!element) return false;
  if (!element.matches("a, button, input, [tabindex]")) element.tabIndex = -1;
  element.focus();
  element.scrollIntoView({ block: "nearest" });
  return true;
}

function create() {
  const menu = document.querySelector("#create");
  menu?.showPopover();
  menu?.querySelector("a").focus();
  return menu !== null;
}

function click(element) {
  if (element) element.click();
  return Boolean(element);
}

function open(id) {
  document.getElementById(id)?.showModal();
  return true;
}
