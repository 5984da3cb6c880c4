// Asks htmx to load a part again every data-refresh seconds, but only while somebody is looking at it and nobody is inside it.
// What changed is said to screen readers, for the pieces marked data-announce; what was unfolded stays unfolded.

const due = new WeakMap();
const shown = new Map(); // What each address answered last: the same answer is not swapped in again.
const before = new WeakMap(); // What a part said just before it was replaced.

const selecting = (part) => {
  const selection = getSelection();
  return selection !== null && !selection.isCollapsed && part.contains(selection.anchorNode);
};

const busy = (part) =>
  part.contains(document.activeElement) ||
  part.querySelector("dialog[open], details[data-menu][open]") !== null ||
  selecting(part);

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
const plain = (element) => element?.textContent.trim().replace(/\s+/g, " ") ?? "";
const foldName = (details) => plain(details.querySelector("summary"));

const remember = (part) => ({
  id: part.id,
  words: new Map([...part.querySelectorAll("[data-announce]")].map((piece) => [piece.id, plain(piece)])),
  unfolded: new Set([...part.querySelectorAll("details[open]")].map(foldName)),
});

const restore = ({ id, words, unfolded }) => {
  const part = document.getElementById(id);
  if (!part) return;
  for (const details of part.querySelectorAll("details")) {
    if (unfolded.has(foldName(details))) details.open = true;
  }
  const pieces = [...part.querySelectorAll("[data-announce]")];
  const news = pieces.filter((piece) => words.has(piece.id) && words.get(piece.id) !== plain(piece)).map(plain);
  const announcement = document.getElementById("announcement");
  if (announcement && news.length) announcement.textContent = news.join(". ");
};

document.addEventListener("htmx:before:swap", (event) => {
  if (!isRefresh(event)) return;
  const { ctx } = event.detail;
  if (ctx.response.status >= 400) return;
  setStale(false);
  const key = ctx.request.action;
  // How long ago something was differs in every answer and is no news; ago.js counts on by itself.
  const answer = ctx.text.replace(/ data-ago="-?\d+">[^<]*/g, "");
  if (shown.get(key) === answer || busy(ctx.sourceElement)) {
    event.preventDefault();
    return;
  }
  shown.set(key, answer);
  before.set(ctx, remember(ctx.sourceElement));
});

document.addEventListener("htmx:after:swap", (event) => {
  if (before.has(event.detail?.ctx)) restore(before.get(event.detail.ctx));
  // Somebody did something meanwhile: what was shown before is no measure any more.
  else shown.clear();
});

for (const failure of ["htmx:response:error", "htmx:error"]) {
  document.addEventListener(failure, (event) => {
    if (isRefresh(event)) setStale(true);
  });
}

setInterval(tick, 1000);
document.addEventListener("visibilitychange", tick);
