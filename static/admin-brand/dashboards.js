/* Draws the dashboards' charts with Chart.js. Without this file every chart is still there as a table. */
(function () {
  "use strict";

  var PALETTE = {
    light: ["#0f7f64", "#2563eb", "#d97706", "#9333ea", "#db2777", "#0891b2", "#65a30d", "#dc2626"],
    dark: ["#41bd99", "#60a5fa", "#fbbf24", "#c084fc", "#f472b6", "#22d3ee", "#a3e635", "#f87171"]
  };
  var drawn = [];

  function isDark() { return document.documentElement.classList.contains("dark"); }

  function colours() {
    var style = window.getComputedStyle(document.documentElement);
    return {
      series: PALETTE[isDark() ? "dark" : "light"],
      line: style.getPropertyValue("--pc-line").trim() || "#e5e7eb",
      text: isDark() ? "#a3a3a3" : "#6b7280",
      faint: isDark() ? "#737373" : "#a3a3a3"
    };
  }

  function shortNumber(value) {
    return new Intl.NumberFormat(document.documentElement.lang, { notation: "compact", maximumFractionDigits: 1 }).format(value);
  }

  function dataset(one, at, drawing, paint) {
    var colour = one.dashed ? paint.faint : paint.series[at % paint.series.length];
    var line = drawing.kind === "line" || one.dashed;
    return {
      type: line ? "line" : "bar", label: one.name, texts: one.texts,
      data: one.values.map(function (value) { return value === null ? null : Number(value); }),
      order: one.dashed ? 0 : 1, stack: drawing.kind === "stack" ? "all" : undefined,
      borderColor: colour, backgroundColor: colour, borderWidth: line ? 2 : 0, borderDash: one.dashed ? [5, 4] : [],
      pointStyle: one.dashed ? "line" : "rectRounded", pointRadius: one.dashed || one.values.length > 31 ? 0 : 2, pointHitRadius: 8, tension: 0.25, spanGaps: true,
      borderRadius: drawing.kind === "stack" ? 0 : 3, maxBarThickness: 34
    };
  }

  function options(drawing, paint) {
    var across = drawing.kind === "across";
    var stacked = drawing.kind === "stack";
    var words = { color: paint.text, font: { size: 11 } };
    var values = {
      beginAtZero: true, stacked: stacked, grid: { color: paint.line }, border: { display: false },
      suggestedMax: drawing.unit === "%" ? 100 : undefined,
      ticks: Object.assign({ maxTicksLimit: 6, callback: function (value) { return shortNumber(value) + (drawing.unit ? " " + drawing.unit : ""); } }, words)
    };
    var names = {
      stacked: stacked, grid: { display: false }, border: { color: paint.line },
      ticks: Object.assign({ maxRotation: 0, autoSkipPadding: 14 }, words)
    };
    return {
      responsive: true, maintainAspectRatio: false, animation: false, indexAxis: across ? "y" : "x",
      interaction: { mode: "index", intersect: false, axis: across ? "y" : "x" },
      scales: across ? { x: values, y: names } : { x: names, y: values },
      plugins: {
        legend: { display: drawing.series.length > 1, position: "top", align: "end", labels: Object.assign({ usePointStyle: true, boxHeight: 8, sort: function (a, b) { return a.datasetIndex - b.datasetIndex; } }, words) },
        tooltip: {
          callbacks: {
            label: function (item) { return item.dataset.label + ": " + item.dataset.texts[item.dataIndex]; }
          }
        }
      }
    };
  }

  function draw(canvas) {
    var drawing = JSON.parse(canvas.getAttribute("data-chart"));
    var paint = colours();
    var data = {
      labels: drawing.labels,
      datasets: drawing.series.map(function (one, at) { return dataset(one, at, drawing, paint); })
    };
    return new window.Chart(canvas, { type: drawing.kind === "line" ? "line" : "bar", data: data, options: options(drawing, paint) });
  }

  function drawAll() {
    drawn.forEach(function (chart) { chart.destroy(); });
    drawn = Array.prototype.map.call(document.querySelectorAll("canvas[data-chart]"), draw);
  }

  if (!window.Chart) { return; }
  drawAll();
  var was = isDark();
  new MutationObserver(function () {
    if (isDark() !== was) { was = isDark(); drawAll(); }
  }).observe(document.documentElement, { attributes: true, attributeFilter: ["class"] });
})();
