// The queue in the corner of the eye, on every page: how many wait in the tab's title and the menu, a word for a screen reader and,
// if switched on, a tone for whoever comes new.

const title = document.title;
let known = null;
let sound = null;

export function startQueue() {
  const list = document.querySelector("#queue-waiting");
  if (!list) return;
  // Away from the desk the list is fetched: who stands there already is nobody new.
  let isFetched = list.dataset.fetched === undefined;
  if (isFetched) look();
  document.addEventListener("htmx:after:swap", ({ detail: { ctx } }) => {
    isFetched ||= ctx.sourceElement === list;
    if (isFetched) look();
  });
}

function look() {
  const rows = [...document.querySelectorAll("#queue-waiting > .row--waiting")];
  const ids = new Set(rows.map((row) => row.id));
  const fresh = known ? rows.filter((row) => !known.has(row.id)) : [];
  known = ids;
  document.title = rows.length ? `(${rows.length}) ${title}` : title;
  for (const badge of document.querySelectorAll("[data-waiting-count]")) {
    badge.textContent = String(rows.length);
    badge.hidden = rows.length === 0;
  }
  if (!fresh.length) return;
  const what = fresh.at(-1).dataset.say ?? "";
  document.querySelector("#say").textContent = document.body.dataset.sayWaiting.replace("{}", what);
  if (localStorage.getItem("sound") === "on") tone();
}

function tone() {
  sound ??= new AudioContext();
  const [voice, volume] = [sound.createOscillator(), sound.createGain()];
  voice.frequency.value = 660;
  volume.gain.setValueAtTime(0.08, sound.currentTime);
  volume.gain.exponentialRampToValueAtTime(0.0001, sound.currentTime + 0.35);
  voice.connect(volume).connect(sound.destination);
  voice.start();
  voice.stop(sound.currentTime + 0.4);
}
