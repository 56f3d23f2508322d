// Listening to a recording: one at a time on a page, whichever of its players was asked. The sound itself is no part of
// the page, so it goes on while rows around its player are drawn anew; what a player shows is drawn from here each time.
import { toast } from "./shell.js";

const SPEEDS = [1, 1.5, 2];
const STEPS = { ArrowLeft: -5, ArrowDown: -5, ArrowRight: 5, ArrowUp: 5, PageDown: -30, PageUp: 30 };
const opened = new Set();
const sound = new Audio();
let current = null;
let dragging = null;

export function startRecordings() {
  document.addEventListener("click", click);
  document.addEventListener("keydown", press);
  document.addEventListener("pointerdown", grab);
  document.addEventListener("pointermove", ({ clientX }) => dragging && seekTo(dragging, clientX));
  for (const name of ["pointerup", "pointercancel"]) document.addEventListener(name, () => (dragging = null));
  document.addEventListener("htmx:after:swap", draw);
  for (const name of ["play", "pause", "seeked", "ended", "ratechange"]) sound.addEventListener(name, draw);
  sound.addEventListener("play", () => requestAnimationFrame(follow));
  sound.addEventListener("error", fail);
  draw();
}

const players = () => document.querySelectorAll("[data-player]");
const playerOf = (id) => document.querySelector(`[data-player="${id}"]`);
const idOf = (element) => element.closest("[data-player]").dataset.player;
const speed = () => (SPEEDS.includes(Number(localStorage.getItem("speed"))) ? Number(localStorage.getItem("speed")) : 1);
const durationOf = (id) =>
  id === current && Number.isFinite(sound.duration) ? sound.duration : Number(playerOf(id)?.dataset.duration ?? 0);

function click({ target }) {
  const play = target.closest?.("[data-play]");
  if (play) toggle(idOf(play));
  const faster = target.closest?.("[data-speed]");
  if (faster) setSpeed(SPEEDS[(SPEEDS.indexOf(speed()) + 1) % SPEEDS.length]);
  const listen = target.closest?.("[data-listen]");
  if (listen) open(listen.dataset.listen);
}

// A register's row opens and plays with one click; the second click closes it and is quiet.
function open(call) {
  const first = document.querySelector(`#listen-${call} [data-player]`);
  if (opened.delete(call)) {
    if (document.querySelector(`#listen-${call} [data-player="${current}"]`)) sound.pause();
  } else {
    opened.add(call);
    if (first) start(first.dataset.player);
  }
  draw();
}

function toggle(id) {
  if (id === current && !sound.paused) sound.pause();
  else start(id);
}

function start(id, at = null) {
  if (id !== current) {
    current = id;
    sound.src = `/recordings/${id}`;
  }
  sound.defaultPlaybackRate = sound.playbackRate = speed();
  if (at !== null) sound.currentTime = at;
  // A click elsewhere before it began is no failure; a recording that does not play says so by its own event.
  sound.play().catch(() => {});
  draw();
}

function setSpeed(times) {
  localStorage.setItem("speed", String(times));
  sound.defaultPlaybackRate = sound.playbackRate = times;
  draw();
}

function grab(event) {
  const wave = event.target.closest?.("[data-wave]");
  if (!wave || event.button !== 0) return;
  dragging = idOf(wave);
  seekTo(dragging, event.clientX);
}

function seekTo(id, x) {
  const box = playerOf(id)?.querySelector("[data-wave]").getBoundingClientRect();
  if (box?.width) seek(id, ((x - box.left) / box.width) * durationOf(id));
}

function seek(id, at) {
  const place = Math.min(Math.max(at, 0), durationOf(id));
  if (id === current && !sound.paused) sound.currentTime = place;
  else start(id, place);
  draw();
}

function press(event) {
  const wave = event.target.closest?.("[data-wave]");
  if (!wave || event.ctrlKey || event.metaKey || event.altKey) return;
  const id = idOf(wave);
  const now = id === current ? sound.currentTime : 0;
  if (event.key === " " || event.key === "Enter") toggle(id);
  else if (event.key in STEPS) seek(id, now + STEPS[event.key]);
  else if (event.key === "Home") seek(id, 0);
  else if (event.key === "End") seek(id, durationOf(id) - 1);
  else return;
  event.preventDefault();
  event.stopPropagation();
}

function fail() {
  const player = playerOf(current);
  current = null;
  if (player) toast(player.dataset.sayFailed);
  draw();
}

function follow() {
  if (sound.paused) return;
  const player = playerOf(current);
  if (player) drawPlace(player);
  requestAnimationFrame(follow);
}

function draw() {
  for (const player of players()) {
    const isPlaying = player.dataset.player === current && !sound.paused;
    player.classList.toggle("is-playing", isPlaying);
    const { sayPlay, sayPause, saySpeed } = player.dataset;
    player.querySelector("[data-play]").setAttribute("aria-label", isPlaying ? sayPause : sayPlay);
    const faster = player.querySelector("[data-speed]");
    faster.textContent = `${speed()}×`;
    faster.setAttribute("aria-label", saySpeed.replace("{}", String(speed())));
    drawPlace(player);
  }
  for (const button of document.querySelectorAll("[data-listen]")) {
    const isOpen = opened.has(button.dataset.listen);
    button.setAttribute("aria-expanded", String(isOpen));
    const row = document.querySelector(`#listen-${button.dataset.listen}`);
    if (row) row.hidden = !isOpen;
  }
}

function drawPlace(player) {
  const id = player.dataset.player;
  const [at, all] = [id === current ? sound.currentTime : 0, durationOf(id)];
  const wave = player.querySelector("[data-wave]");
  wave.style.setProperty("--heard", `${all ? Math.min(100, (at / all) * 100) : 0}%`);
  const text = clock(at);
  const shown = player.querySelector("[data-at]");
  if (shown.textContent === text && wave.getAttribute("aria-valuenow") === String(Math.floor(at))) return;
  shown.textContent = text;
  wave.setAttribute("aria-valuenow", String(Math.floor(at)));
  wave.setAttribute("aria-valuetext", player.dataset.sayAt.replace("{}", text));
}

function clock(seconds) {
  const two = (number) => String(number).padStart(2, "0");
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, Math.floor(seconds) % 60];
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}
