// Clocks that run from `data-since`. The server's first reading sets them, so a computer's wrong clock does not show.

const offsets = new WeakMap();

export function startClocks() {
  setInterval(tick, 1000);
}

function tick() {
  for (const clock of document.querySelectorAll("time[data-since]")) {
    const since = Date.parse(clock.dataset.since);
    const shown = (Date.now() - since) / 1000;
    if (!offsets.has(clock) || offsets.get(clock).since !== since) {
      offsets.set(clock, { since, by: read(clock.textContent) - shown });
    }
    const seconds = Math.max(0, Math.round(shown + offsets.get(clock).by));
    clock.textContent = write(seconds);
    if (clock.dataset.long) clock.classList.toggle("is-long", seconds >= Number(clock.dataset.long));
  }
}

function read(text) {
  return text.trim().split(":").reduce((seconds, part) => seconds * 60 + Number(part), 0);
}

function write(seconds) {
  const two = (number) => String(number).padStart(2, "0");
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}
