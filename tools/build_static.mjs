// Copies the front-end packages the pages need to static/vendor and writes Fluent's tokens as CSS. Nothing of it is in git.

import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const modules = join(root, "node_modules");
const vendor = join(root, "static", "vendor");

const SCRIPTS = {
  "htmx.min.js": "htmx.org/dist/htmx.min.js",
  "chart.umd.min.js": "chart.js/dist/chart.umd.min.js",
};

// Our name for an icon, and the file of the package it comes from.
const ICONS = [
  "home",
  "shield_task",
  "clipboard_task",
  "ticket_diagonal",
  "plug_connected",
  "settings",
  "navigation",
  "person",
  "weather_moon",
  "share",
  "link",
  "mail",
  "people_team",
  "checkmark_circle",
  "warning",
  "error_circle",
  "info",
  "clock",
  "search",
  "arrow_sync",
  "open",
  "dismiss_circle",
  "add",
  "chevron_right",
  "chevron_down",
  "sign_out",
  "task_list_square_ltr",
  "data_trending",
  "copy",
  "delete",
  "edit",
  "filter",
  "arrow_download",
  "history",
  "note",
  "calendar_ltr",
  "document_bullet_list",
  "play",
  "wrench",
  "lock_closed",
  "key",
  "send",
  "flag",
  "tag",
  "more_horizontal",
  "arrow_up",
  "arrow_down",
  "subtract",
  "checkmark",
  "dismiss",
  "arrow_undo",
  "target",
  "scales",
  "people",
  "comment",
  "weather_sunny",
  "building",
  "server",
  "eye",
];

if (!existsSync(modules)) {
  console.error("node_modules is missing: run `make setup`, which installs it.");
  process.exit(1);
}
mkdirSync(vendor, { recursive: true });

for (const [name, source] of Object.entries(SCRIPTS)) {
  copyFileSync(join(modules, source), join(vendor, name));
}

const { webDarkTheme, webLightTheme } = createRequire(import.meta.url)("@fluentui/tokens");
const declarations = (theme) =>
  Object.entries(theme)
    .map(([name, value]) => `  --${name}: ${value};`)
    .join("\n");
// Paper is always light.
writeFileSync(
  join(vendor, "tokens.css"),
  [
    `:root {\n${declarations(webLightTheme)}\n  color-scheme: light;\n}`,
    `@media screen and (prefers-color-scheme: dark) {\n:root:not([data-theme="light"]) {\n${declarations(webDarkTheme)}\n  color-scheme: dark;\n}\n}`,
    `@media screen {\n:root[data-theme="dark"] {\n${declarations(webDarkTheme)}\n  color-scheme: dark;\n}\n}\n`,
  ].join("\n"),
);

const symbols = ICONS.map((name) => {
  const svg = readFileSync(join(modules, "@fluentui/svg-icons/icons", `${name}_20_regular.svg`), "utf8");
  const [, viewBox] = svg.match(/viewBox="([^"]+)"/);
  const inner = svg.replace(/^[\s\S]*?<svg[^>]*>/, "").replace(/<\/svg>\s*$/, "");
  return `<symbol id="${name}" viewBox="${viewBox}" fill="currentColor">${inner}</symbol>`;
});
writeFileSync(join(vendor, "icons.svg"), `<svg xmlns="http://www.w3.org/2000/svg">\n${symbols.join("\n")}\n</svg>\n`);
console.log(`static/vendor: ${Object.keys(SCRIPTS).length} scripts, tokens.css, ${ICONS.length} icons`);
