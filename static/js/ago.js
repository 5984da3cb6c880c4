// Keeps "2 minutes ago" true while a page stays open. Counts on from the server's seconds (data-ago), because the browser's
// clock may be wrong.

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
  // A future time stops at now: whether the event happened, only the server knows.
  const passed = then < 0 ? Math.min(since, 0) : since;
  const [unit, size] = UNITS.find(([, length]) => Math.abs(passed) >= length) ?? UNITS.at(-1);
  const amount = Math.round(passed / size);
  const text = (amount ? words : now).format(-amount, unit);
  if (time.textContent !== text) time.textContent = text;
};

const tellAll = () => {
  for (const time of document.querySelectorAll("time[data-ago]")) tell(time);
};

// The server's words stay until the first interval; only the time at which they were rendered is noted here.
for (const time of document.querySelectorAll("time[data-ago]")) seen.set(time, performance.now());
setInterval(tellAll, 10_000);
document.addEventListener("visibilitychange", tellAll);
