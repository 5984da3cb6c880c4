// Closes open menus on Escape, on a click elsewhere and when the focus leaves, and keeps them inside the window.
// Menus are details elements, so they open without this script.

const opened = () => document.querySelectorAll("details[data-menu][open]");

document.addEventListener("click", (event) => {
  // A click on the backdrop behind the drawer has the details element itself as its target.
  for (const menu of opened()) if (!menu.contains(event.target) || event.target === menu) menu.open = false;
});

document.addEventListener("focusin", (event) => {
  for (const menu of opened()) if (!menu.contains(event.target)) menu.open = false;
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of opened()) {
    menu.open = false;
    if (menu.contains(document.activeElement)) menu.querySelector("summary")?.focus();
  }
});

// A menu that would overflow on one side is aligned to its other side.
document.addEventListener(
  "toggle",
  (event) => {
    const menu = event.target;
    const panel = menu.open && menu.matches("details[data-menu]") && menu.querySelector(".menu-panel");
    if (!panel) return;
    const { left, right } = panel.getBoundingClientRect();
    if (right > document.documentElement.clientWidth) panel.classList.add("menu-end");
    else if (left < 0) panel.classList.remove("menu-end");
  },
  true, // `toggle` does not bubble, so it is caught in the capture phase.
);
