// Polls: lets htmx load a part again every data-refresh seconds, only while the page is visible and the person is not using
// the part (focus, open menu, selected text). Changes of pieces marked data-announce go to screen readers; open details stay
// open. Sends the ETag of what is shown, which is remembered here and not in the browser's cache (Cache-Control: no-store).

const due = new WeakMap();
const shown = new Map(); // The last response by URL; an equal one is not swapped in again.
const tags = new Map(); // The ETag of the response that is shown, by URL.
const before = new WeakMap(); // A part's state just before it was replaced.

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

// Shows the notice that the page may be stale; the next response hides it.
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

document.addEventListener("htmx:config:request", (event) => {
  if (!isRefresh(event)) return;
  const { request } = event.detail.ctx;
  // fetch() asks past the browser's cache then, and gives us the 304: https://fetch.spec.whatwg.org/#http-network-or-cache-fetch
  if (tags.has(request.action)) request.headers["If-None-Match"] = tags.get(request.action);
});

document.addEventListener("htmx:before:swap", (event) => {
  if (!isRefresh(event)) return;
  const { ctx } = event.detail;
  if (ctx.response.status >= 400) return;
  setStale(false);
  if (ctx.response.status === 304) {
    event.preventDefault();
    return;
  }
  const key = ctx.request.action;
  // Ages ("2 minutes ago") differ in every response and are no change; ago.js keeps them true.
  const answer = ctx.text.replace(/ data-ago="-?\d+">[^<]*/g, "");
  if (shown.get(key) === answer || busy(ctx.sourceElement)) {
    event.preventDefault();
    return;
  }
  shown.set(key, answer);
  const tag = ctx.response.headers.get("ETag");
  if (tag) tags.set(key, tag);
  else tags.delete(key);
  before.set(ctx, remember(ctx.sourceElement));
});

document.addEventListener("htmx:after:swap", (event) => {
  if (before.has(event.detail?.ctx)) restore(before.get(event.detail.ctx));
  // Another swap changed the page, such as a sent form: earlier responses cannot be compared any more.
  else {
    shown.clear();
    tags.clear();
  }
});

for (const failure of ["htmx:response:error", "htmx:error"]) {
  document.addEventListener(failure, (event) => {
    if (isRefresh(event)) setStale(true);
  });
}

setInterval(tick, 1000);
document.addEventListener("visibilitychange", tick);
