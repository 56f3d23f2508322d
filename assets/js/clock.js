// Clocks that run from `data-since`: minutes and seconds where somebody holds the line, a rough "12 min" elsewhere;
// and those that run down to `data-until`. The server's own reading of the time sets them, so a computer's wrong clock
// does not show.

let ahead = 0;
let rough = {};

export function startClocks() {
  const { now, lang, sayNow } = document.body.dataset;
  if (!now) return;
  ahead = Date.parse(now) - Date.now();
  const unit = (name) => new Intl.NumberFormat(lang === "en" ? "en-GB" : lang, { style: "unit", unit: name, unitDisplay: "short" });
  rough = { now: sayNow, minute: unit("minute"), hour: unit("hour"), day: unit("day") };
  setInterval(tick, 1000);
}

function tick() {
  for (const clock of document.querySelectorAll("time[data-until]")) {
    const left = Math.max(0, Math.ceil((Date.parse(clock.dataset.until) - Date.now() - ahead) / 1000));
    if (clock.textContent !== exact(left)) clock.textContent = exact(left);
  }
  for (const clock of document.querySelectorAll("time[data-since]")) {
    const seconds = Math.max(0, Math.floor((Date.now() + ahead - Date.parse(clock.dataset.since)) / 1000));
    const text = clock.dataset.rough === undefined ? exact(seconds) : roughly(seconds);
    if (clock.textContent !== text) clock.textContent = text;
    if (clock.dataset.long) clock.classList.toggle("is-long", seconds >= Number(clock.dataset.long));
  }
}

function exact(seconds) {
  const two = (number) => String(number).padStart(2, "0");
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

function roughly(seconds) {
  if (seconds < 60) return rough.now;
  if (seconds < 3600) return rough.minute.format(Math.floor(seconds / 60));
  if (seconds < 86400) return rough.hour.format(Math.floor(seconds / 3600));
  return rough.day.format(Math.floor(seconds / 86400));
}
