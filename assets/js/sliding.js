// Rows of the desk slide to their new place where others came or went: they never jump, so the eye follows them. It is
// measured by where they stand, whatever still slides; a slide that begins while another runs adds to it.

const MS = 180;
const FRAME = ".section";
const MOVING = `${FRAME}, .row, .empty`;

export function startSliding() {
  const queue = document.querySelector("#desk-queue");
  if (!queue || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  const look = () => new Map([...queue.querySelectorAll(MOVING)].map((one) => [one, placeOf(one)]));
  let places = look();
  new MutationObserver(() => {
    const before = places;
    places = look();
    for (const [one, place] of places) {
      const by = (before.get(one) ?? place) - place;
      if (by) one.animate({ transform: [`translateY(${by}px)`, "none"] }, { duration: MS, easing: "ease-out", composite: "add" });
    }
  }).observe(queue, { childList: true, subtree: true });
  new ResizeObserver(() => (places = look())).observe(queue);
}

// Within its section, which slides as a whole.
function placeOf(one) {
  const frame = one.parentElement.closest(FRAME);
  return topOf(one) - (frame ? topOf(frame) : 0);
}

function topOf(one) {
  let top = 0;
  for (let box = one; box; box = box.offsetParent) top += box.offsetTop;
  return top;
}
