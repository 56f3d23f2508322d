// The body of a page scrolls within the frame, not the window: so the keys that scroll are handed on to it where
// nothing has the focus, and a page that one comes back to stands where one left it.

const BY = { PageDown: 0.9, " ": 0.9, PageUp: -0.9, ArrowDown: 0.06, ArrowUp: -0.06 };
let body = null;

export function startScrolling() {
  body = document.querySelector("main > .body");
  if (!body) return;
  const top = history.state?.top;
  if (top) body.scrollTop = top;
  addEventListener("pagehide", () => history.replaceState({ ...history.state, top: body.scrollTop }, ""));
  document.addEventListener("keydown", scroll);
}

function scroll(event) {
  if (event.target !== document.body || event.ctrlKey || event.metaKey || event.altKey) return;
  const by = BY[event.key] * (event.shiftKey ? -1 : 1);
  if (event.key === "Home") body.scrollTop = 0;
  else if (event.key === "End") body.scrollTop = body.scrollHeight;
  else if (by) body.scrollBy({ top: by * body.clientHeight });
  else return;
  event.preventDefault();
}
