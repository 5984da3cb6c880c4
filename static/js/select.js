// One check box selects all the others of its form. It is hidden until this script runs; without it each is selected by hand.

for (const label of document.querySelectorAll("[data-select-all]")) {
  const all = label.control;
  const boxes = [...all.form.querySelectorAll(`input[type="checkbox"][name="${label.dataset.selectAll}"]`)];
  const counter = all.form.querySelector("[data-selected]");
  const show = () => {
    const ticked = boxes.filter((box) => box.checked).length;
    all.checked = ticked === boxes.length;
    all.indeterminate = ticked > 0 && !all.checked;
    if (counter) counter.textContent = ticked ? ` (${ticked})` : "";
  };
  all.addEventListener("change", () => {
    for (const box of boxes) box.checked = all.checked;
    show();
  });
  for (const box of boxes) box.addEventListener("change", show);
  window.addEventListener("pageshow", show); // The back/forward cache restores some ticks.
  label.hidden = false;
  show();
}
