// Keeps "2 minutes ago" true while a page stays open. Counts on from the server's seconds (data-ago), or from an exact time
// (data-since) to the server's time (data-now), because the browser's clock may be wrong.

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
const served = Number(document.querySelector("[data-now]")?.dataset.now ?? Number.NaN);
const loaded = performance.now();

// Seconds since the element's time; NaN when the server's time is not known.
const age = (time) => {
  if (time.dataset.ago === undefined)
    return served + (performance.now() - loaded) / 1000 - Date.parse(time.dateTime) / 1000;
  if (!seen.has(time)) seen.set(time, performance.now());
  const then = Number(time.dataset.ago);
  const since = then + (performance.now() - seen.get(time)) / 1000;
  // A future time stops at now: whether the event happened, only the server knows.
  return then < 0 ? Math.min(since, 0) : since;
};

const tell = (time) => {
  const passed = age(time);
  if (Number.isNaN(passed)) return;
  const [unit, size] = UNITS.find(([, length]) => Math.abs(passed) >= length) ?? UNITS.at(-1);
  const amount = Math.round(passed / size);
  const text = (amount ? words : now).format(-amount, unit);
  if (time.textContent === text) return;
  if (!time.title) time.title = time.textContent;
  time.textContent = text;
};

const tellAll = () => {
  for (const time of document.querySelectorAll("time[data-ago], time[data-since]")) tell(time);
};

// The server's words stay until the first interval; only the time at which they were rendered is noted here. An exact time
// becomes a relative one at once, also in a part that was loaded again.
for (const time of document.querySelectorAll("time[data-ago]")) seen.set(time, performance.now());
const tellExact = () => {
  for (const time of document.querySelectorAll("time[data-since]")) tell(time);
};
tellExact();
document.addEventListener("htmx:after:swap", tellExact);
setInterval(tellAll, 10_000);
document.addEventListener("visibilitychange", tellAll);
