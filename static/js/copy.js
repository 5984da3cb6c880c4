// Copies the text of data-copy and announces it. The clipboard exists in secure contexts only, so the button is hidden
// without it: https://developer.mozilla.org/docs/Web/API/Clipboard_API

const show = () => {
  for (const button of document.querySelectorAll("[data-copy][hidden]")) button.hidden = false;
};

const copy = async (button) => {
  await navigator.clipboard.writeText(button.dataset.copy);
  const announcement = document.getElementById("announcement");
  if (announcement) announcement.textContent = button.dataset.copied;
  if (button.querySelector(".copied-note")) return;
  const note = document.createElement("span");
  note.className = "copied-note";
  note.setAttribute("aria-hidden", "true");
  note.textContent = button.dataset.copied;
  button.append(note);
  setTimeout(() => {
    note.remove();
    if (announcement) announcement.textContent = "";
  }, 2000);
};

if (navigator.clipboard) {
  show();
  document.addEventListener("htmx:after:swap", show);
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy]");
    if (button) copy(button);
  });
}
