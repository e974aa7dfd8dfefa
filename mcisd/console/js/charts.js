// The charts. In: ChartData from samples.js. Out: five uPlot plots with one cursor; redrawn one a frame, only when seen.

import { byId, el, setText, throttle } from "./dom.js";
import * as format from "./format.js";
import { t } from "./i18n.js";
import { data, historyError } from "./samples.js";
import { colour } from "./theme.js";
import { chooseVm, findVm, firingVms, on, state } from "./store.js";

const HEIGHT = 124;
const TICK_MS = 1900; // samples come every 2 s
const LEAST_S = 300; // a young MCIS fills the width instead of one corner
const CHARTS = [
  { id: "cpu", columns: ["cpu.usage_active"], signs: [1], unit: format.percent, top: 100, tick: (value) => `${value} %` },
  { id: "mem", columns: ["mem.used_percent"], signs: [1], unit: format.percent, top: 100, tick: (value) => `${value} %` },
  { id: "load", columns: ["system.load1"], signs: [1], unit: format.number, least: 0.5 },
  { id: "net", columns: ["net.bytes_recv_rate", "net.bytes_sent_rate"], signs: [1, -1], unit: format.rate, least: 1000, words: ["↓", "↑"], meaning: ["in", "out"] },
  { id: "disk", columns: ["diskio.read_bytes_rate", "diskio.write_bytes_rate"], signs: [1, -1], unit: format.rate, least: 1000, words: ["R", "W"], meaning: ["read", "write"] },
];
const panels = new Map();
let span = Number(localStorage.getItem("mcisd.span")) || 3600;

const providerColour = (name) => colour({ aws: "p-aws", azure: "p-azure", gcp: "p-gcp", alibaba: "p-alibaba" }[name?.toLowerCase()] ?? "accent");

/** Colour and width of line `i` (of all columns together). */
function line(i) {
  const place = i % data.width;
  if (data.band) {
    const shade = place === 1 ? colour("accent") : colour("accent-soft");
    return { stroke: shade, width: place === 1 ? 1.75 : 1, points: { show: false } };
  }
  const name = data.names[place];
  const hot = data.names.length > 1 && firingVms().has(name);
  const own = data.names.length === 1 ? colour(i < data.width ? "accent" : "accent-2") : providerColour(findVm(name)?.providerName);
  return { stroke: hot ? colour("bad") : own, width: hot || data.names.length === 1 ? 1.75 : 1.1, alpha: hot || data.names.length === 1 ? 1 : 0.65, points: { show: false } };
}

function options(chart, width) {
  const axis = { stroke: colour("muted"), font: "11px system-ui, sans-serif", ticks: { show: false }, grid: { stroke: colour("line"), width: 1 } };
  const count = data.width * chart.columns.length;
  const bands = data.band ? chart.columns.map((_, c) => ({ series: chart.signs[c] > 0 ? [c * 3 + 3, c * 3 + 1] : [c * 3 + 1, c * 3 + 3], fill: colour("accent-band") })) : [];
  const reach = (values) => Math.max(chart.least ?? 0, ...values.map(Math.abs)) * 1.12;
  const yRange = (u, low, high) => (chart.top ? [0, chart.top] : [chart.signs.includes(-1) ? -reach([low ?? 0, high ?? 0]) : 0, reach([high ?? 0, low ?? 0])]);
  return {
    width, height: HEIGHT, padding: [8, 18, 0, 0], legend: { show: false }, bands,
    scales: { x: { time: false, auto: false }, y: { range: yRange } },
    series: [{}, ...Array.from({ length: count }, (_, i) => line(i))],
    focus: { alpha: 0.18 },
    cursor: { sync: { key: "mcisd" }, drag: { x: false, y: false }, focus: { prox: 26 }, y: false, points: { show: false } },
    axes: [
      { ...axis, size: 24, space: 64, incrs: [60, 120, 300, 600, 900, 1800], values: (u, splits) => splits.map(format.hourMinute) },
      { ...axis, size: 58, space: 30, values: (u, splits) => splits.map((one) => (chart.tick ?? chart.unit)(Math.abs(one))) },
    ],
    hooks: { setCursor: [(u) => readout(chart, u)], setSeries: [(u, index) => ((panels.get(chart.id).focus = index), readout(chart, u))] },
  };
}

const known = (values) => values.filter((value) => value !== null && value !== undefined).map(Math.abs);

/** The newest value of each line, or the values under the cursor. */
function valuesAt(u, index) {
  return u.data.slice(1).map((values) => {
    if (index !== null && index !== undefined) return values[index];
    for (let i = values.length - 1; i >= Math.max(0, values.length - 6); i -= 1) if (values[i] !== undefined) return values[i];
    return null;
  });
}

/** The line above a plot: average and highest, or the VM the pointer is near. */
function readout(chart, u) {
  const panel = panels.get(chart.id);
  const index = u.cursor.idx;
  const all = valuesAt(u, index);
  const parts = chart.columns.map((_, c) => {
    const mine = all.slice(c * data.width, (c + 1) * data.width);
    const focused = panel.focus && index !== null ? panel.focus - 1 - c * data.width : -1;
    const label = chart.words ? `${chart.words[c]} ` : "";
    const middle = data.band ? known([mine[1]]) : known(mine);
    if (!middle.length) return `${label}–`;
    if (!data.band && focused >= 0 && focused < data.width) return `${label}${chart.unit(known([mine[focused]])[0])}`;
    return `${label}${chart.unit(middle.reduce((a, b) => a + b, 0) / middle.length)}`;
  });
  setText(panel.value, parts.join("  "));
  const near = panel.focus && index !== null && !data.band ? data.names[(panel.focus - 1) % data.width] : "";
  const highest = Math.max(...known(all));
  const note = near || (data.names.length > 1 && !chart.words && highest > -Infinity ? `${t("max")} ${chart.unit(highest)}` : "");
  const at = !chart.words && index !== null && index !== undefined && u.data[0][index] ? format.hourMinuteSecond(u.data[0][index]) : "";
  setText(panel.note, [note, at].filter(Boolean).join(" · "));
}

function build() {
  for (const chart of CHARTS) {
    const panel = panels.get(chart.id);
    panel.plot?.destroy();
    panel.focus = null;
    panel.plot = new globalThis.uPlot(options(chart, panel.box.clientWidth || 260), [[], ...Array.from({ length: data.width * chart.columns.length }, () => [])], panel.box);
  }
  const many = state.vm ? state.vm : t("all", { n: data.names.length });
  byId("charts-of").textContent = data.names.length > 1 ? `${many} · ${t(data.band ? "band" : "each")}` : many;
  byId("charts-all").hidden = !state.vm;
  byId("providers").replaceChildren(...(data.band || state.vm ? [] : [...new Set(data.names.map((name) => findVm(name)?.providerName))].filter(Boolean).map((name) =>
    el("span", { class: `provider p-${name.toLowerCase()}`, text: name }))));
  redraw();
}

function paint(chart) {
  const panel = panels.get(chart.id);
  if (!panel.plot) return;
  const now = Date.now() / 1000;
  const table = data.table(chart.columns, chart.signs, now - span);
  panel.plot.batch(() => {
    panel.plot.setData(table, false);
    panel.plot.setScale("x", { min: Math.max(now - span, Math.min(table[0][0] ?? now, now - LEAST_S)), max: now });
  });
  readout(chart, panel.plot);
  panel.box.dataset.points = String(table[0].length);
  panel.box.dataset.newest = String(table[0].at(-1) ?? "");
}

let queue = [];
function next() {
  const chart = queue.shift();
  if (!chart) return;
  if (panels.get(chart.id).seen) paint(chart);
  if (queue.length) requestAnimationFrame(next);
}

function redraw() {
  const idle = !queue.length;
  queue = [...CHARTS];
  if (idle) requestAnimationFrame(next);
  byId("charts-error").textContent = historyError ? t("history", { e: historyError }) : "";
}

function spans() {
  for (const [label, seconds] of [["m5", 300], ["m15", 900], ["h1", 3600]]) {
    const button = el("button", { type: "button", text: t(label), "aria-pressed": String(seconds === span) });
    button.addEventListener("click", () => {
      span = seconds;
      localStorage.setItem("mcisd.span", String(span));
      for (const other of byId("spans").children) other.setAttribute("aria-pressed", String(other === button));
      redraw();
    });
    byId("spans").append(button);
  }
}

export function startCharts() {
  spans();
  for (const chart of CHARTS) {
    const panel = { value: el("b", { class: "n" }), note: el("span", { class: "muted n" }), box: el("div", { class: "plot", "data-chart": chart.id }), seen: true, focus: null };
    byId("plots").append(el("figure", { "aria-label": t(chart.id) }, el("figcaption", {}, el("span", { text: t(chart.id), title: (chart.meaning ?? []).map((key, c) => `${chart.words[c]} ${t(key)}`).join(", ") }), panel.value, panel.note), panel.box));
    panels.set(chart.id, panel);
  }
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) panels.get(entry.target.dataset.chart).seen = entry.isIntersecting;
    redraw();
  });
  const size = new ResizeObserver((entries) => {
    for (const entry of entries) {
      const { plot } = panels.get(entry.target.dataset.chart);
      if (plot && entry.contentRect.width) plot.setSize({ width: Math.floor(entry.contentRect.width), height: HEIGHT });
    }
  });
  for (const { box } of panels.values()) {
    seen.observe(box);
    size.observe(box);
  }
  let firing = "";
  on("charts theme", build);
  on("alarms", () => {
    const names = [...firingVms()].sort().join();
    if (names !== firing) build();
    firing = names;
  });
  on("samples", throttle(redraw, TICK_MS));
  on("history", redraw);
  byId("charts-all").addEventListener("click", () => chooseVm(""));
  build();
}
