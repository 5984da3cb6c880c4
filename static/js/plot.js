// Draws the figures marked data-plot with Chart.js, in the colours of the theme. Days without a value stay gaps.

const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const draw = (figure) => {
  const { labels, values, title } = JSON.parse(document.getElementById(figure.dataset.plot).textContent);
  const small = figure.classList.contains("plot-small");
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const axis = {
    grid: { color: style("--colorNeutralStroke2") },
    ticks: { color: style("--colorNeutralForeground3") },
  };
  return new Chart(figure.querySelector("canvas"), {
    type: "line",
    data: {
      labels,
      datasets: [
        {
          label: title,
          data: values,
          borderColor: style("--colorBrandForeground1"),
          backgroundColor: style("--colorBrandBackground2"),
          fill: true,
          spanGaps: false,
          tension: 0.15,
          borderWidth: 2,
          pointRadius: 0,
          pointHitRadius: 12,
        },
      ],
    },
    options: {
      animation: still ? false : { duration: 300 },
      maintainAspectRatio: false,
      plugins: { legend: { display: false } },
      interaction: { mode: "index", intersect: false },
      scales: {
        x: {
          ...axis,
          ticks: { ...axis.ticks, maxTicksLimit: small ? 3 : 8, maxRotation: 0 },
          grid: { display: false },
        },
        y: { ...axis, grace: "10%", ticks: { ...axis.ticks, maxTicksLimit: small ? 3 : 6 } },
      },
    },
  });
};

let charts = [];
const drawAll = () => {
  for (const chart of charts) chart.destroy();
  charts = [...document.querySelectorAll("[data-plot]")].map(draw);
};

drawAll();
document.addEventListener("theme-changed", drawAll);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
