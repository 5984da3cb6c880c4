// Keeps "2 minutes ago" true while a page stays open. It counts on from the server's seconds (data-ago) and never asks the clock.

const UNITS = [
  ["year", 31536000],
  ["month", 2592000],
  ["week", 604800],
  ["day", 86400],
  ["hour", 3600],
  ["minute", 60],
  ["second", 1],
];
const words = new Intl.RelativeTimeFormat(document.documentElement.lang || "en");
const now = new Intl.RelativeTimeFormat(document.documentElement.lang || "en", { numeric: "auto" });
const seen = new WeakMap();

const tell = (time) => {
  if (!seen.has(time)) seen.set(time, performance.now());
  const then = Number(time.dataset.ago);
  const since = then + (performance.now() - seen.get(time)) / 1000;
  // What was to come does not become the past by itself: whether it happened, only the server knows.
  const passed = then < 0 ? Math.min(since, 0) : since;
  const [unit, size] = UNITS.find(([, length]) => Math.abs(passed) >= length) ?? UNITS.at(-1);
  const amount = Math.round(passed / size);
  const text = (amount ? words : now).format(-amount, unit);
  if (time.textContent !== text) time.textContent = text;
};

const tellAll = () => {
  for (const time of document.querySelectorAll("time[data-ago]")) tell(time);
};

// The first round leaves the server's words: it only notes when they were seen.
for (const time of document.querySelectorAll("time[data-ago]")) seen.set(time, performance.now());
setInterval(tellAll, 10_000);
document.addEventListener("visibilitychange", tellAll);
