// Asks htmx to load a part again every data-refresh seconds, but only while somebody is looking at it and nobody is inside it.

const due = new WeakMap();
const shown = new Map(); // What each address answered last: the same answer is not swapped in again.

const busy = (part) =>
  part.contains(document.activeElement) || part.querySelector("dialog[open], details[data-menu][open]") !== null;

const tick = () => {
  if (document.visibilityState !== "visible") return;
  for (const part of document.querySelectorAll("[data-refresh]")) {
    const now = Date.now();
    const later = now + Number(part.dataset.refresh) * 1000;
    if (!due.has(part)) due.set(part, later);
    if (now < due.get(part) || busy(part)) continue;
    due.set(part, later);
    part.dispatchEvent(new CustomEvent("refresh-due"));
  }
};

// Says, on the whole page, that what is shown may be old; and stops saying so as soon as an answer comes.
const setStale = (stale) => {
  const notice = document.getElementById("stale-notice");
  if (notice) notice.hidden = !stale;
};

const isRefresh = (event) => event.detail?.ctx?.sourceEvent?.type === "refresh-due";

document.addEventListener("htmx:before:swap", (event) => {
  if (!isRefresh(event)) return;
  const { ctx } = event.detail;
  if (ctx.response.status >= 400) return;
  setStale(false);
  const key = ctx.request.action;
  if (shown.get(key) === ctx.text || busy(ctx.sourceElement)) event.preventDefault();
  else shown.set(key, ctx.text);
});

// Somebody did something meanwhile: what was shown before is no measure any more.
document.addEventListener("htmx:after:swap", (event) => {
  if (!isRefresh(event)) shown.clear();
});

for (const failure of ["htmx:response:error", "htmx:error"]) {
  document.addEventListener(failure, (event) => {
    if (isRefresh(event)) setStale(true);
  });
}

setInterval(tick, 1000);
document.addEventListener("visibilitychange", tick);
