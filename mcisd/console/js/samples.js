// Live samples of the shown MCIS. In: its live stream and history. Out: newest values and sparklines per VM,
// the data of the charts; topic "samples" at most once a second, "history" when past data came in.

import { get } from "./api.js";
import { ChartData, SPAN_S } from "./chartdata.js";
import { emit, infra, on, pathOf, state, vms } from "./store.js";
import { openStream } from "./stream.js";
import { throttle } from "./dom.js";

const SPARK = 40;
const SPARK_S = 10;
const FRESH_MS = 15000;
const QUERIES = [
  ["cpu", ["usage_active"], "&tag.cpu=cpu-total"],
  ["mem", ["used_percent"], ""],
  ["system", ["load1"], ""],
  ["net", ["bytes_recv_rate", "bytes_sent_rate"], ""],
  ["diskio", ["read_bytes_rate", "write_bytes_rate"], ""],
];
export const COLUMNS = QUERIES.flatMap(([measurement, fields]) => fields.map((field) => `${measurement}.${field}`));

export const latest = new Map(); // VM name → { time, values, came }
export const sparks = new Map(); // VM name → { slot, values } newest CPU values
export let data = new ChartData([], COLUMNS);
export let historyError = "";
let stream = null;
let streamKey = "";
let shown = "";
let again = [];

/** The newest value of a column, while it is fresh: a suspended VM has none. */
export function fresh(name, column) {
  const sample = latest.get(name);
  return sample && performance.now() - sample.came < FRESH_MS ? sample.values[column] : undefined;
}

const announce = throttle(() => emit("samples"), 1000);

/** One point in SPARK_S seconds, the newest sample standing for its span. */
function addSpark(vm, time, value) {
  const spark = sparks.get(vm) ?? sparks.set(vm, { slot: 0, values: [] }).get(vm);
  const slot = Math.floor(time / SPARK_S);
  if (slot > spark.slot) spark.values.push(value);
  else spark.values[spark.values.length - 1] = value;
  if (spark.values.length > SPARK) spark.values.shift();
  spark.slot = Math.max(slot, spark.slot);
}

/** The sparklines start from history where it has their step and no samples came before. */
function seedSparks(answers) {
  const { series } = answers.find((one) => one.column === "cpu.usage_active");
  for (const { vm, times, values } of series) {
    const live = sparks.get(vm);
    if (!times.length || (live && live.values.length > 4)) continue;
    const slot = Math.floor(times.at(-1) / SPARK_S);
    sparks.set(vm, { slot: Math.max(slot, live?.slot ?? 0), values: [...values.slice(-SPARK + 4), ...(live?.values ?? [])] });
  }
}

function receive(event) {
  if (event.type !== "sample") return;
  const { vm, time, values } = JSON.parse(event.data);
  latest.set(vm, { time, values, came: performance.now() });
  addSpark(vm, time, values["cpu.usage_active"] ?? null);
  data.add(vm, time, values);
  announce();
}

/** Past data of the shown VMs; a coarser step when they are many. */
async function readHistory() {
  const into = data;
  const names = into.names;
  if (!names.length || state.ended) return;
  const step = names.length > 200 ? 120 : names.length > 40 ? 60 : 10;
  const end = Math.ceil(Date.now() / 1000);
  const base = `${pathOf()}${state.vm ? `/vms/${encodeURIComponent(state.vm)}` : ""}/monitoring`;
  try {
    const answers = await Promise.all(QUERIES.map(async ([measurement, fields, tag]) => {
      const query = `measurement=${measurement}&fields=${fields.join(",")}${tag}&statistic=avg`;
      const answer = await get(`${base}?${query}&start=${end - SPAN_S}&end=${end}&step=${step}`, 30000);
      return fields.map((field) => ({
        column: `${measurement}.${field}`, series: answer.series.filter((one) => one.field === field),
      }));
    }));
    if (into !== data) return; // another choice was made meanwhile
    historyError = "";
    into.readHistory(answers.flat(), step);
    if (step === SPARK_S) seedSparks(answers.flat());
  } catch (error) {
    historyError = error.message;
  }
  if (into === data) emit("history");
}

function rebuild() {
  const names = state.vm ? [state.vm] : vms().map((vm) => vm.name);
  const key = `${state.key}|${names.join(",")}`;
  if (key === shown) return;
  shown = key;
  data = new ChartData(names, COLUMNS);
  emit("charts");
  again.forEach(clearTimeout);
  readHistory();
  again = [setTimeout(readHistory, 32000)]; // by then the store has what came just before the live stream
}

function openLive() {
  const key = infra() && state.link !== "paused" ? state.key : "";
  const wanted = key && [key, ...vms().map((vm) => vm.id).sort()].join(); // a stream knows the VMs of its beginning only
  if (wanted === streamKey) return;
  if (!wanted || !streamKey.startsWith(`${key},`)) {
    latest.clear();
    sparks.clear();
  }
  streamKey = wanted;
  stream?.close();
  stream = null;
  if (key) stream = openStream(`${pathOf(key)}/monitoring/live?columns=${COLUMNS.join(",")}`, { onEvent: receive });
}

export function startSamples() {
  on("infras vm", () => {
    openLive();
    rebuild();
  });
  let away = false;
  on("link", () => {
    openLive();
    if (state.link === "live" && away) readHistory();
    away = state.link !== "live";
  });
  setInterval(() => document.hidden || readHistory(), 300000);
}
