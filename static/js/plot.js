// Draws the figures marked data-plot with Chart.js, in the colors of the theme. Days without a value stay gaps.

const palette = (...names) => names.map((name) => `--colorPalette${name}BorderActive`);
const TONES = ["--colorCompoundBrandStroke", ...palette("Lavender", "Teal", "Marigold", "Berry")];
// Lines differ by more than color: https://www.w3.org/WAI/WCAG22/Understanding/use-of-color.html
const DASHES = [[], [6, 4], [2, 3], [9, 3, 2, 3], [12, 4]];
const ZONES = palette("Red", "Marigold", "Green");

const locale = document.documentElement.lang || "en";
const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const isDay = (label) => /^\d{4}-\d{2}-\d{2}$/.test(label);
const spelled = (label, form) =>
  isDay(label) ? new Intl.DateTimeFormat(locale, { timeZone: "UTC", ...form }).format(new Date(label)) : label;
const shorter = (label) => spelled(label, { day: "numeric", month: "short" });
// Labels of horizontal bars wrap to two lines; Chart.js would cut their beginning.
const folded = (name) => (name.length > 16 ? name.replace(/ (?=[^ ]+ [^ ]+$)/, "\n").split("\n") : name);
const longer = (label) => spelled(label, { day: "numeric", month: "short", year: "numeric" });

const amount = (value, unit) => value.toLocaleString(locale, { maximumFractionDigits: unit ? 1 : 2 }) + unit;

// Colored bands behind the lines, each from one value to another.
const bands = (zones) => ({
  id: "bands",
  beforeDatasetsDraw({ ctx, chartArea, scales }) {
    for (const [index, { from, to }] of zones.entries()) {
      const top = Math.max(scales.y.getPixelForValue(to), chartArea.top);
      const bottom = Math.min(scales.y.getPixelForValue(from), chartArea.bottom);
      if (bottom <= top) continue;
      ctx.save();
      ctx.globalAlpha = 0.14;
      ctx.fillStyle = style(ZONES[index % ZONES.length]);
      ctx.fillRect(chartArea.left, top, chartArea.width, bottom - top);
      ctx.restore();
    }
  },
});

const dataset = (kind, alone, filled) => (series, index) => {
  const tone = style(TONES[index % TONES.length]);
  const common = { label: series.name, data: series.values, borderColor: tone };
  if (kind === "bar") return { ...common, backgroundColor: tone, borderRadius: 3, maxBarThickness: 36 };
  return {
    ...common,
    backgroundColor: style("--colorBrandBackground2"),
    fill: alone && filled,
    spanGaps: false,
    tension: 0.15,
    borderWidth: 2,
    borderDash: DASHES[index % DASHES.length],
    pointRadius: series.values.filter((value) => value !== null).length === 1 ? 3 : 0,
    pointHitRadius: 12,
  };
};

const draw = (figure) => {
  const data = JSON.parse(document.getElementById(figure.dataset.plot).textContent);
  const small = figure.classList.contains("plot-small");
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const quiet = style("--colorNeutralForeground3");
  const ticks = { color: quiet, font: { family: getComputedStyle(document.body).fontFamily, size: small ? 11 : 12 } };
  const grid = { color: style("--colorNeutralStroke3") };
  const whole = data.series.every((series) =>
    series.values.every((value) => value === null || Number.isInteger(value)),
  );
  const lying = data.kind === "bar" && data.lying;
  const names = {
    grid: { display: false },
    border: { color: style("--colorNeutralStroke2") },
    stacked: data.stacked,
    ticks: {
      ...ticks,
      autoSkip: !lying,
      maxTicksLimit: small ? 4 : 8,
      maxRotation: 0,
      autoSkipPadding: 16,
      callback: (at) => (lying ? folded : shorter)(data.labels[at]),
    },
  };
  const amounts = {
    grid,
    border: { display: false },
    stacked: data.stacked,
    beginAtZero: data.kind === "bar",
    grace: data.kind === "bar" || data.zones.length || data.unit ? 0 : "10%",
    suggestedMin: data.zones.at(0)?.from,
    suggestedMax: data.zones.at(-1)?.to,
    ticks: {
      ...ticks,
      maxTicksLimit: small ? 3 : 6,
      precision: whole ? 0 : undefined,
      callback: (value) => amount(value, data.unit),
    },
  };
  return new Chart(figure.querySelector("canvas"), {
    type: data.kind,
    data: {
      labels: data.labels,
      datasets: data.series.map(dataset(data.kind, data.series.length === 1, data.zones.length === 0)),
    },
    plugins: [bands(data.zones)],
    options: {
      locale,
      animation: still ? false : { duration: 300 },
      maintainAspectRatio: false,
      indexAxis: lying ? "y" : "x",
      interaction: { mode: "index", intersect: false, axis: lying ? "y" : "x" },
      plugins: {
        legend: {
          display: data.series.length > 1,
          position: "bottom",
          labels: {
            color: style("--colorNeutralForeground2"),
            usePointStyle: true,
            pointStyle: data.kind === "bar" ? "rectRounded" : "line",
            font: ticks.font,
          },
        },
        tooltip: {
          callbacks: {
            title: (items) => longer(items[0]?.label ?? ""),
            label: ({ dataset: { label }, raw }) => `${label}: ${amount(raw, data.unit)}`,
          },
        },
      },
      scales: lying ? { x: amounts, y: names } : { x: names, y: amounts },
    },
  });
};

const charts = new Map();
const drawNew = () => {
  for (const [figure, chart] of charts) {
    if (figure.isConnected) continue;
    chart.destroy();
    charts.delete(figure);
  }
  for (const figure of document.querySelectorAll("[data-plot]")) {
    if (!charts.has(figure)) charts.set(figure, draw(figure));
  }
};
const drawAgain = () => {
  for (const chart of charts.values()) chart.destroy();
  charts.clear();
  drawNew();
};

drawNew();
document.addEventListener("htmx:after:swap", drawNew);
document.addEventListener("theme-changed", drawAgain);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAgain);
