// Light or dark theme: stores the choice and applies it before the first paint. A module would be deferred until after it.

(() => {
  const key = "theme";
  const root = document.documentElement;
  const remembered = () => {
    try {
      return localStorage.getItem(key);
    } catch {
      return null; // Storage can be blocked; the system's preference applies then.
    }
  };
  const remember = (theme) => {
    try {
      localStorage.setItem(key, theme);
    } catch {
      // Storage is blocked: the choice lasts for this page only.
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
