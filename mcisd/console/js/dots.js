// What lies on the map: the MCIS as a polygon, its VMs as dots, far too many at one place as a ring with their number.
// In: the store and a view {toScreen, zoomTo, width, height}. Out: SVG elements, reused from tick to tick.

import { byId, el, setAttr, setText, stateClass, svg } from "./dom.js";
import * as format from "./format.js";
import { cluster, fan, fanRadius, hull } from "./geo.js";
import { t } from "./i18n.js";
import { fresh } from "./samples.js";
import { chooseVm, findVm, firingVms, infra, state, vms } from "./store.js";

const STEP = 14; // pixels from dot to dot
const MOST = 30; // more VMs than this at one place become a ring
const RADIUS = 5.5;
const MARGIN = 24; // from the outermost dots to the edge of the polygon
const CIRCLE = Array.from({ length: 24 }, (_, i) => [Math.cos((i * Math.PI) / 12), Math.sin((i * Math.PI) / 12)]);

const area = svg("path", { class: "area" });
const title = svg("text", { class: "area-name" });
const subtitle = svg("text", { class: "area-status" });
const places = svg("g", { class: "places", "aria-hidden": "true" });
const marks = svg("g", {});
const known = new Map(); // VM name → its elements
const pulses = new Map(); // VM name → its pulsing box
let tip = null;

function hideTip() {
  tip?.remove();
  tip = null;
}

function showTip(name, node) {
  const vm = findVm(name);
  if (!vm) return;
  hideTip();
  tip = el("div", { class: "tip", role: "tooltip" },
    el("b", { text: name }),
    el("span", { class: `chip ${stateClass(vm.state)}`, text: vm.state }),
    el("span", { class: "muted", text: `${vm.providerName} · ${vm.region}` }),
    el("span", { class: "muted", text: `CPU ${format.percent(fresh(name, "cpu.usage_active"))} · ${t("mem")} ${format.percent(fresh(name, "mem.used_percent"))}` }));
  const box = byId("map");
  box.append(tip);
  const [dot, frame] = [node.getBoundingClientRect(), box.getBoundingClientRect()];
  const left = dot.x + dot.width / 2 - frame.x - tip.offsetWidth / 2;
  const above = dot.y - frame.y - tip.offsetHeight - 8;
  tip.style.left = `${Math.max(4, Math.min(frame.width - tip.offsetWidth - 4, left))}px`;
  tip.style.top = `${above > 4 ? above : dot.y - frame.y + dot.height + 8}px`;
}

function makeDot(name) {
  const dot = svg("circle", { class: "dot", r: RADIUS });
  const group = svg("g", { class: "vm", "data-vm": name, role: "button", tabindex: 0 }, svg("circle", { class: "hit", r: STEP / 2 }), dot);
  const choose = () => chooseVm(state.vm === name ? "" : name);
  group.addEventListener("click", choose);
  group.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    choose();
  });
  for (const type of ["pointerenter", "focus"]) group.addEventListener(type, () => showTip(name, group));
  for (const type of ["pointerleave", "blur"]) group.addEventListener(type, hideTip);
  return group;
}

/** A ring whose arcs are the shares of the states. */
function ringOf(group, zoomTo, firing) {
  const counts = new Map();
  for (const vm of group.vms) counts.set(vm.state, (counts.get(vm.state) ?? 0) + 1);
  const name = t("group", { n: group.vms.length, place: group.places.join(", ") });
  const node = svg("g", { class: `group${group.vms.some((vm) => firing.has(vm.name)) ? " firing" : ""}`, role: "button", tabindex: 0, "aria-label": name, transform: `translate(${group.x},${group.y})` },
    svg("title", { text: name }), svg("circle", { class: "disc", r: 16 }));
  let turn = 0;
  for (const [status, count] of counts) {
    node.append(svg("circle", { class: `arc ${stateClass(status)}`, r: 16, pathLength: 100, "stroke-dashoffset": -turn,
      "stroke-dasharray": `${(count / group.vms.length) * 100} 100` }));
    turn += (count / group.vms.length) * 100;
  }
  node.append(svg("text", { text: String(group.vms.length), dy: "0.35em" }));
  node.addEventListener("click", () => zoomTo(group.x, group.y));
  node.addEventListener("keydown", (event) => event.key === "Enter" && zoomTo(group.x, group.y));
  return node;
}

function sites(toScreen) {
  const found = new Map();
  for (const vm of vms()) {
    if (!vm.location) continue;
    const { latitude, longitude, display } = vm.location;
    const key = `${latitude},${longitude}`;
    if (!found.has(key)) {
      const [x, y] = toScreen(longitude, latitude);
      found.set(key, { x, y, vms: [], place: (display || vm.region).split(/[,(]/)[0].trim() });
    }
    found.get(key).vms.push(vm);
  }
  return [...found.values()];
}

/** Where the lower edge of a polygon lies at `x`. */
function lowest(corners, x) {
  let y = -Infinity;
  corners.forEach(([x0, y0], i) => {
    const [x1, y1] = corners[(i + 1) % corners.length];
    if (Math.min(x0, x1) <= x && x <= Math.max(x0, x1) && x0 !== x1) y = Math.max(y, y0 + ((y1 - y0) * (x - x0)) / (x1 - x0));
  });
  return y;
}

function drawArea(points) {
  const shown = infra();
  const around = points.flatMap(([x, y]) => CIRCLE.map(([dx, dy]) => [x + dx * MARGIN, y + dy * MARGIN]));
  const corners = hull(around);
  const d = corners.length ? `M${corners.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join("L")}Z` : "";
  setAttr(area, "d", d);
  setText(title, corners.length ? shown.name : "");
  setText(subtitle, corners.length ? shown.status : "");
  if (!corners.length) return;
  const all = corners.map((corner) => corner[0]);
  const x = (Math.min(...all) + Math.max(...all)) / 2;
  const y = lowest(corners, x) + 22;
  for (const [node, dy] of [[title, 0], [subtitle, 17]]) {
    setAttr(node, "x", x.toFixed(1));
    setAttr(node, "y", (y + dy).toFixed(1));
  }
}

/** Names of places under their dots, where they have room. */
function drawPlaces(groups, width) {
  const taken = groups.map((group) => {
    const radius = group.vms.length > MOST ? 18 : fanRadius(group.vms.length, STEP) + 2;
    return [group.x - radius, group.y - radius, group.x + radius, group.y + radius];
  });
  places.replaceChildren();
  groups.forEach((group, i) => {
    const [first, second, ...more] = group.places;
    const text = [first, second].filter(Boolean).join(" · ") + (more.length ? ` +${more.length}` : "");
    const half = text.length * 2.9 + 3;
    const x = Math.max(half, Math.min(width - half, group.x));
    const free = (top) => {
      const mine = [x - half, top, x + half, top + 12];
      return taken.every((other, j) => j === i || mine[0] > other[2] || mine[2] < other[0] || mine[1] > other[3] || mine[3] < other[1]) && mine;
    };
    const [below, above] = [taken[i][3] + 1, taken[i][1] - 13];
    const room = free(below) || free(above);
    if (!room) return;
    taken.push(room);
    places.append(svg("text", { text, x: x.toFixed(1), y: (room[1] + 10).toFixed(1) }));
  });
}

/** Draw all; called on every change of view or state. */
export function drawDots(root, view) {
  if (!root.childNodes.length) root.append(area, places, marks, title, subtitle);
  const firing = firingVms();
  const groups = cluster(sites(view.toScreen), STEP, MOST);
  const points = [];
  const shown = new Set();
  marks.querySelectorAll(".group").forEach((node) => node.remove());
  for (const group of groups) {
    points.push([group.x, group.y]);
    if (group.vms.length > MOST) marks.append(ringOf(group, view.zoomTo, firing));
    else group.vms.forEach((vm, i) => {
      const [dx, dy] = fan(i, group.vms.length, STEP);
      points.push([group.x + dx, group.y + dy]);
      drawVm(vm, group.x + dx, group.y + dy, firing.has(vm.name));
      shown.add(vm.name);
    });
  }
  for (const [name, node] of known) {
    if (shown.has(name)) continue;
    node.remove();
    known.delete(name);
    setPulse(name, null);
  }
  drawArea(points);
  drawPlaces(groups, view.width);
}

/** Let the place of a VM pulse, or no longer (`place` null). */
function setPulse(name, place) {
  if (!place) {
    pulses.get(name)?.remove();
    pulses.delete(name);
    return;
  }
  if (!pulses.has(name)) pulses.set(name, el("div", { class: "pulse", "aria-hidden": "true" }));
  const box = pulses.get(name);
  box.style.transform = place;
  if (!box.parentNode) byId("map").append(box);
}

function drawVm(vm, x, y, firing) {
  const node = known.get(vm.name) ?? known.set(vm.name, makeDot(vm.name)).get(vm.name);
  const chosen = state.vm === vm.name;
  setAttr(node, "class", `vm ${stateClass(vm.state)}${firing ? " firing" : ""}${chosen ? " chosen" : ""}`);
  setAttr(node, "transform", `translate(${x.toFixed(1)},${y.toFixed(1)})`);
  setAttr(node, "aria-label", `${vm.name}: ${vm.state}, ${vm.region}${firing ? `, ${t("firing")}` : ""}`);
  setAttr(node, "aria-pressed", String(chosen));
  if (!node.parentNode) marks.append(node);
  setPulse(vm.name, firing ? `translate(${x.toFixed(1)}px,${y.toFixed(1)}px)` : null);
}
