// Copies the text of data-copy and says so. The button is hidden where the browser cannot copy.

for (const button of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", async (event) => {
    event.preventDefault();
    await navigator.clipboard.writeText(button.dataset.copy);
    const before = button.innerHTML;
    button.textContent = button.dataset.copied;
    setTimeout(() => {
      button.innerHTML = before;
    }, 2000);
  });
}
