// Charts by hour or day. uPlot 1.6.32 (MIT, in uplot/) draws them; the words around them are ours.

import uPlot from "./uplot/uPlot.esm.js";
import { element } from "./elements.js";
import { coloursOf, onThemeChange } from "./theme.js";

const HEIGHT = 190;

/** Bars on top of each other. `series` are a name, a colour of the theme, and the value of a bucket. */
export function barChart(title, buckets, series, options) {
  const values = series.map(([, , of]) => buckets.map((each) => of(each) ?? 0));
  const piled = values.map((_, index) => buckets.map((_each, at) => values.slice(index).reduce((sum, one) => sum + one[at], 0)));
  const bars = uPlot.paths.bars({ size: [0.7, 40], align: 1 }); // from the beginning of the hour or day on
  return chart(title, buckets, series, values, options, (colour) => ({
    data: piled,
    series: series.map(([name, shade]) => ({ label: name, fill: colour(shade), stroke: colour(shade), width: 0, paths: bars, points: { show: false } })),
  }));
}

/** Lines; a bucket without a value is a gap. */
export function lineChart(title, buckets, series, options) {
  const values = series.map(([, , of]) => buckets.map((each) => of(each) ?? null));
  return chart(title, buckets, series, values, options, (colour) => ({
    data: values,
    series: series.map(([name, shade]) => ({ label: name, stroke: colour(shade), width: 2, points: { show: true, size: 4, fill: colour(shade) } })),
  }));
}

function chart(title, buckets, series, values, { left, unit, tick: tickOf = unit }, made) {
  const canvas = element("div", { class: "plot", role: "img", "aria-label": `${title}. ${summary(series, values, unit)} The table below has every value.` });
  const note = element("p", { class: "hint mark-note" }, summary(series, values, unit));
  const keys = element("p", { class: "keys" }, series.map(([name, shade]) => element("span", { class: "key" }, element("span", { class: `swatch shade-${shade}`, "aria-hidden": "true" }), name)));
  const figure = element("figure", { class: "card" }, element("figcaption", {}, element("h2", {}, title)), keys, canvas, note);
  let plot = null;

  function draw() {
    const width = canvas.clientWidth;
    if (!width) return;
    plot?.destroy();
    canvas.replaceChildren();
    const colour = coloursOf(canvas);
    const { data, series: drawn } = made(colour);
    const axis = { stroke: colour("soft"), grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line"), width: 1 }, font: "12px system-ui, sans-serif" };
    const last = buckets[buckets.length - 1];
    const length = buckets.length > 1 ? (buckets[1].at - buckets[0].at) / 1000 : 3600;
    const highest = Math.max(...data.flat().map((value) => value ?? 0), 0);
    const options = {
      width,
      height: HEIGHT,
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
      scales: { x: { time: true, range: [buckets[0].at / 1000, last.at / 1000 + length] }, y: { range: [0, highest * 1.08 || 1] } },
      axes: [{ ...axis, space: 60 }, { ...axis, size: 58, values: (_plot, ticks) => ticks.map(tickOf) }],
      series: [{}, ...drawn],
      hooks: { setCursor: [({ cursor: { idx } }) => { note.textContent = idx === null || idx === undefined ? summary(series, values, unit) : told(buckets[idx], series, values, idx, unit); }] },
    };
    plot = new uPlot(options, [buckets.map((each) => each.at / 1000), ...data], canvas);
  }

  const resized = new ResizeObserver(draw);
  resized.observe(canvas);
  onThemeChange(draw, left);
  left.addEventListener("abort", () => {
    resized.disconnect();
    plot?.destroy();
  });
  return figure;
}

function told({ at }, series, values, index, unit) {
  const parts = series.map(([name], which) => `${name.toLowerCase()} ${values[which][index] === null ? "–" : unit(values[which][index])}`);
  return `${at.toLocaleString([], { dateStyle: "medium", timeStyle: "short" })}: ${parts.join(", ")}`;
}

/** What the chart shows, for those who do not see it. */
function summary(series, values, unit) {
  return series.map(([name], which) => {
    const known = values[which].filter((value) => value !== null);
    return known.length ? `${name}: at most ${unit(Math.max(...known))}.` : `${name}: no values.`;
  }).join(" ");
}
