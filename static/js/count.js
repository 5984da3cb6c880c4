// Counts the characters of a text while it is typed, and says what becomes of those beyond the limit of ServiceNow's column.
// `length` counts UTF-16 units, as the limit does.

const count = (line) => {
  const field = document.getElementById(line.dataset.countOf);
  if (!field) return;
  const length = field.value.length;
  const isOver = length > Number(line.dataset.limit);
  const text = line.dataset.text.replace("{count}", String(length)) + (isOver ? ` ${line.dataset.over}` : "");
  line.hidden = false;
  line.classList.toggle("stale", isOver);
  if (line.textContent !== text) line.textContent = text;
};

const countAll = () => {
  for (const line of document.querySelectorAll("[data-count-of]")) count(line);
};

document.addEventListener("input", (event) => {
  const line = document.querySelector(`[data-count-of="${CSS.escape(event.target.id)}"]`);
  if (line) count(line);
});
document.addEventListener("htmx:after:swap", countAll);
countAll();
