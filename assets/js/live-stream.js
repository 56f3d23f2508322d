// One stream of changes that is never silently dead: the server pings it, and where two pings are missed the line is
// given up, said to be lost, and opened anew from the last position, whatever the socket itself still believes.
const SLACK_MS = 1000;

// Follow the feed behind the position `from`. `heard` gets {type: "state", state}, {type: "change", id, before, data}
// and {type: "reset", id}. Returns what ends it.
export function follow(from, heard) {
  let position = from;
  let source = null;
  let everyMs = 3000;
  let retryMs = 1000;
  let watch = 0;
  let retry = 0;

  const alive = () => {
    clearTimeout(watch);
    watch = setTimeout(again, 2 * everyMs + SLACK_MS);
  };
  const drop = () => {
    clearTimeout(watch);
    clearTimeout(retry);
    source?.close();
    source = null;
  };
  const again = () => {
    drop();
    heard({ type: "state", state: "lost" });
    retry = setTimeout(open, retryMs);
    retryMs = Math.min(retryMs * 2, 30000);
  };
  const open = () => {
    drop();
    const opened = (source = new EventSource(`/live?from=${encodeURIComponent(position)}`));
    alive();
    opened.addEventListener("ping", ({ data }) => {
      everyMs = JSON.parse(data).every_ms;
      retryMs = 1000;
      alive();
      heard({ type: "state", state: "live" });
    });
    opened.addEventListener("change", ({ lastEventId, data }) => {
      alive();
      const before = position;
      position = lastEventId;
      heard({ type: "change", id: lastEventId, before, data: JSON.parse(data) });
    });
    opened.addEventListener("reset", ({ lastEventId }) => {
      alive();
      position = lastEventId;
      heard({ type: "reset", id: lastEventId });
    });
    opened.onerror = () => {
      if (source !== opened) return;
      // A refusal ends an EventSource for good; a lost line it mends itself, with Last-Event-ID.
      if (opened.readyState === EventSource.CLOSED) again();
      else heard({ type: "state", state: "lost" });
    };
  };
  open();
  return drop;
}
