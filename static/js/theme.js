// Light or dark: remembers the choice, and sets it before the first paint, which is why this is not a module.

(() => {
  const key = "theme";
  const root = document.documentElement;
  const remembered = () => {
    try {
      return localStorage.getItem(key);
    } catch {
      return null; // Storage can be forbidden; the system's choice holds then.
    }
  };
  const remember = (theme) => {
    try {
      localStorage.setItem(key, theme);
    } catch {
      // The choice lasts for this page only.
    }
  };

  const stored = remembered();
  if (stored === "light" || stored === "dark") root.dataset.theme = stored;

  document.addEventListener("DOMContentLoaded", () => {
    for (const button of document.querySelectorAll("[data-theme-toggle]")) {
      button.hidden = false;
      button.addEventListener("click", () => {
        const dark = getComputedStyle(root).colorScheme === "dark";
        root.dataset.theme = dark ? "light" : "dark";
        remember(root.dataset.theme);
        document.dispatchEvent(new CustomEvent("theme-changed"));
      });
    }
  });
})();
