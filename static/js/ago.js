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
const seen = new WeakMap();

const tell = (time) => {
  if (!seen.has(time)) seen.set(time, performance.now());
  const passed = Number(time.dataset.ago) + (performance.now() - seen.get(time)) / 1000;
  const [unit, size] = UNITS.find(([, length]) => Math.abs(passed) >= length) ?? UNITS.at(-1);
  const text = words.format(-Math.round(passed / size), unit);
  if (time.textContent !== text) time.textContent = text;
};

const tellAll = () => {
  for (const time of document.querySelectorAll("time[data-ago]")) tell(time);
};

// The first round leaves the server's words: it only notes when they were seen.
for (const time of document.querySelectorAll("time[data-ago]")) seen.set(time, performance.now());
setInterval(tellAll, 10_000);
document.addEventListener("visibilitychange", tellAll);
