// The list of VMs. In: the store and the newest samples. Out: table rows, reused from tick to tick; one page at a time,
// folded by region where the screen is narrow.

import { byId, el, setAttr, setText, stateClass, svg } from "./dom.js";
import * as format from "./format.js";
import { t } from "./i18n.js";
import { fresh as value, sparks } from "./samples.js";
import { chooseVm, firingVms, on, state, vms } from "./store.js";
import { throttle } from "./dom.js";

const PAGE = 100;
const narrow = matchMedia("(max-width: 760px)");
const COLUMNS = [
  ["state", (vm) => vm.state], ["name", (vm) => vm.name], ["agent", (vm) => vm.agent], ["region", (vm) => vm.region],
  ["provider", (vm) => vm.providerName], ["spec", (vm) => vm.vcpus * 1e7 + vm.memoryMib], ["price", (vm) => vm.price ?? -1],
  ["address", (vm) => vm.publicAddress], ["cpu", (vm) => value(vm.name, "cpu.usage_active") ?? -1],
  ["mem", (vm) => value(vm.name, "mem.used_percent") ?? -1],
];
const collator = new Intl.Collator(undefined, { numeric: true });
const known = new Map(); // VM name → row and its cells
const folded = new Set();
const sort = { column: "region", down: false };
let page = 0;

function makeRow(name) {
  const line = svg("polyline", {});
  const bar = el("progress", { max: 100, value: 0, "aria-hidden": "true" });
  const cells = Object.fromEntries(COLUMNS.map(([column]) => [column, el("td", { class: `c-${column}` })]));
  const parts = {
    chip: el("span"), pick: el("button", { type: "button", class: "link", text: name }), place: el("span", { class: "muted" }),
    region: el("span"), cpu: el("span", { class: "n" }), mem: el("span", { class: "n" }), agent: el("span"), line, bar,
  };
  cells.state.append(parts.chip);
  cells.name.append(parts.pick);
  cells.agent.append(parts.agent);
  cells.region.append(parts.region, " ", parts.place);
  cells.cpu.append(svg("svg", { class: "spark", viewBox: "0 0 60 18", "aria-hidden": "true" }, line), parts.cpu);
  cells.mem.append(bar, parts.mem);
  const row = el("tr", { "data-vm": name }, ...Object.values(cells));
  row.addEventListener("click", () => chooseVm(state.vm === name ? "" : name));
  return { row, cells, parts };
}

function sparkline(values) {
  const step = 60 / 39;
  const from = 60 - (values.length - 1) * step;
  return values.map((one, i) => (one === null ? "" : `${(from + i * step).toFixed(1)},${(17 - one * 0.16).toFixed(1)}`)).join(" ");
}

function fillRow({ row, cells, parts }, vm, firing) {
  const chosen = state.vm === vm.name;
  setAttr(row, "class", [chosen ? "chosen" : "", firing ? "firing" : ""].join(" ").trim());
  setAttr(parts.pick, "aria-pressed", String(chosen));
  setText(parts.chip, vm.state);
  setAttr(parts.chip, "class", `chip ${stateClass(vm.state)}`);
  setText(parts.agent, vm.agent);
  setAttr(parts.agent, "class", `agent a-${vm.agent}`);
  setAttr(parts.agent, "title", vm.agentError);
  setAttr(row, "title", vm.error);
  setText(parts.region, vm.region);
  setText(parts.place, vm.location?.display ?? "");
  setText(cells.provider, vm.providerName);
  setText(cells.spec, vm.vcpus ? `${vm.vcpus} vCPU · ${format.memory(vm.memoryMib)}` : vm.spec);
  setText(cells.price, format.price(vm.price));
  setText(cells.address, vm.publicAddress);
  fillLive({ parts }, vm.name);
}

function fillLive({ parts }, name) {
  const [cpu, mem] = [value(name, "cpu.usage_active"), value(name, "mem.used_percent")];
  setText(parts.cpu, format.percent(cpu));
  setText(parts.mem, format.percent(mem));
  setAttr(parts.bar, "value", String(Math.round(mem ?? 0)));
  setAttr(parts.line, "points", sparkline(sparks.get(name)?.values ?? []));
}

function matching() {
  const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const text = (vm) => [vm.name, vm.state, vm.agent, vm.region, vm.location?.display, vm.providerName, vm.spec, vm.publicAddress, vm.cloudId].join(" ").toLowerCase();
  const by = narrow.matches ? COLUMNS[3][1] : COLUMNS.find(([column]) => column === sort.column)[1];
  const turn = sort.down && !narrow.matches ? -1 : 1;
  const compare = (a, b) => (typeof a === "number" ? a - b : collator.compare(a, b));
  return vms()
    .filter((vm) => words.every((word) => text(vm).includes(word)))
    .sort((a, b) => turn * compare(by(a), by(b)) || collator.compare(a.name, b.name));
}

function regionRow(region, list) {
  const open = !folded.has(region);
  const running = list.filter((vm) => vm.state === "Running").length;
  const button = el("button", { type: "button", class: "fold", "aria-expanded": String(open) },
    el("span", { text: `${region} ` }), el("span", { class: "muted", text: `${list[0].location?.display ?? ""} · ${list[0].providerName} · ${running}/${list.length}` }));
  button.addEventListener("click", () => {
    if (!folded.delete(region)) folded.add(region);
    draw();
  });
  return el("tr", { class: "region" }, el("td", { colspan: COLUMNS.length }, button));
}

function rowsOf(list) {
  const firing = firingVms();
  const rows = [];
  let region = null;
  for (const vm of list) {
    if (narrow.matches && vm.region !== region) {
      region = vm.region;
      rows.push(regionRow(region, list.filter((one) => one.region === region)));
    }
    const entry = known.get(vm.name) ?? known.set(vm.name, makeRow(vm.name)).get(vm.name);
    fillRow(entry, vm, firing.has(vm.name));
    entry.row.hidden = narrow.matches && folded.has(vm.region);
    rows.push(entry.row);
  }
  return rows;
}

function draw() {
  const list = matching();
  page = Math.max(0, Math.min(page, Math.ceil(list.length / PAGE) - 1));
  const part = list.slice(page * PAGE, (page + 1) * PAGE);
  const rows = rowsOf(part);
  const names = new Set(part.map((vm) => vm.name));
  for (const name of known.keys()) if (!names.has(name)) known.delete(name);
  const body = byId("vm-rows");
  if (rows.length !== body.children.length || rows.some((row, i) => body.children[i] !== row)) {
    const focused = document.activeElement;
    body.replaceChildren(...rows);
    if (body.contains(focused)) focused.focus();
  }
  byId("no-match").hidden = list.length > 0 || !vms().length;
  byId("vm-count").textContent = list.length === vms().length ? `${list.length}` : `${list.length} / ${vms().length}`;
  byId("pager").hidden = list.length <= PAGE;
  byId("page-text").textContent = t("page", { a: page * PAGE + 1, b: Math.min(list.length, (page + 1) * PAGE), n: list.length });
  byId("page-prev").disabled = page === 0;
  byId("page-next").disabled = (page + 1) * PAGE >= list.length;
}

/** Between changes of state only numbers move. */
function tick() {
  for (const [name, entry] of known) fillLive(entry, name);
}

function heads() {
  const cells = COLUMNS.map(([column]) => {
    const button = el("button", { type: "button", text: t(column) });
    const head = el("th", { scope: "col", class: `c-${column}`, "aria-sort": "none" }, button);
    button.addEventListener("click", () => {
      Object.assign(sort, { down: sort.column === column && !sort.down, column });
      mark();
      draw();
    });
    return head;
  });
  const mark = () => cells.forEach((head, i) =>
    head.setAttribute("aria-sort", COLUMNS[i][0] !== sort.column ? "none" : sort.down ? "descending" : "ascending"));
  byId("vm-heads").append(...cells);
  mark();
}

export function startList() {
  heads();
  const soon = throttle(draw, 100);
  on("infras vm alarms", soon);
  on("samples", () => (["cpu", "mem"].includes(sort.column) ? soon() : tick()));
  byId("search").addEventListener("input", () => {
    page = 0;
    soon();
  });
  for (const [id, step] of [["page-prev", -1], ["page-next", 1]]) {
    byId(id).addEventListener("click", () => {
      page += step;
      draw();
    });
  }
  narrow.addEventListener("change", draw);
  setInterval(() => document.hidden || tick(), 5000); // values grow old even when no samples come
}
