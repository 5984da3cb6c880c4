// Asks htmx to load a part again every data-refresh seconds, but only while somebody is looking at it.

const due = new WeakMap();

const tick = () => {
  if (document.visibilityState !== "visible") return;
  for (const part of document.querySelectorAll("[data-refresh]")) {
    const now = Date.now();
    if (!due.has(part)) due.set(part, now + Number(part.dataset.refresh) * 1000);
    if (now < due.get(part) || part.contains(document.activeElement)) continue;
    due.set(part, now + Number(part.dataset.refresh) * 1000);
    part.dispatchEvent(new CustomEvent("refresh-due"));
  }
};

setInterval(tick, 1000);
document.addEventListener("visibilitychange", tick);
