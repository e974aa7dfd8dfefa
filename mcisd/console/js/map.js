// The world map: land, pan and zoom. In: data/world.json, the store. Out: an SVG; dots.js draws what lies on it.

import { byId, setAttr, svg } from "./dom.js";
import { drawDots } from "./dots.js";
import { pathData, project } from "./geo.js";
import { findVm, on, state, vms } from "./store.js";

const SCALE = 100; // land is drawn once at this scale and only transformed later
const NORTH = project(0, 82)[1];
const SOUTH = project(0, -57)[1];
const WIDTH = 2 * project(180, 0)[0];
const MOST = 14; // how far one can zoom in, against the whole world

const box = byId("map");
const land = svg("g", { class: "land" });
const dots = svg("g", { class: "dots" });
const root = svg("svg", { role: "group", "aria-labelledby": "map-title" }, land, dots);
const view = { k: 100, x: 0, y: 0, width: 0, height: 0, touched: false, least: 100 };

export const toScreen = (longitude, latitude) => {
  const [x, y] = project(longitude, latitude);
  return [x * view.k + view.x, y * view.k + view.y];
};

function draw() {
  setAttr(land, "transform", `translate(${view.x.toFixed(2)},${view.y.toFixed(2)}) scale(${(view.k / SCALE).toFixed(5)})`);
  drawDots(dots, { toScreen, zoomTo, width: view.width, height: view.height });
}

let frame = 0;
function redraw() {
  frame ||= requestAnimationFrame(() => {
    frame = 0;
    draw();
  });
}

/** How much of the map's right side the details cover. */
function inset() {
  const panel = byId("panel");
  return panel.hidden || getComputedStyle(panel).position === "fixed" ? 0 : panel.offsetWidth + 24;
}

/** Bring the chosen VM out from under its details; without one the world falls back into place. */
function uncover() {
  const place = findVm(state.vm)?.location;
  const over = place && inset() ? toScreen(place.longitude, place.latitude)[0] - (view.width - inset() - 40) : 0;
  if (over > 0) view.x -= over;
  clamp();
  redraw();
}

/** Keep the world in sight: never empty sea on both sides. */
function clamp() {
  const half = (WIDTH * view.k) / 2;
  const within = (low, high, value) => (low < high ? Math.min(high, Math.max(low, value)) : (low + high) / 2);
  view.x = within(view.width - inset() - half, half, view.x);
  view.y = within(view.height - SOUTH * view.k, -NORTH * view.k, view.y);
}

function zoom(factor, x = view.width / 2, y = view.height / 2) {
  const k = Math.min(view.least * MOST, Math.max(view.least, view.k * factor));
  view.x = x - ((x - view.x) * k) / view.k;
  view.y = y - ((y - view.y) * k) / view.k;
  view.k = k;
  view.touched = true;
  clamp();
  redraw();
}

const zoomTo = (x, y) => {
  view.x += view.width / 2 - x;
  view.y += view.height / 2 - y;
  zoom(2.5);
};

/** The first view: the world fills the box, but every VM stays in sight. */
function fit() {
  const contain = Math.min(view.width / WIDTH, view.height / (SOUTH - NORTH));
  const cover = Math.max(view.width / WIDTH, view.height / (SOUTH - NORTH));
  view.least = contain;
  const points = vms().filter((vm) => vm.location).map((vm) => project(vm.location.longitude, vm.location.latitude));
  const xs = points.map((point) => point[0]);
  const ys = points.map((point) => point[1]);
  const [left, right] = points.length ? [Math.min(...xs), Math.max(...xs)] : [-WIDTH / 2, WIDTH / 2];
  const span = Math.max(0.2, right - left);
  view.k = Math.max(contain, Math.min(cover, (view.width - 90) / span));
  view.x = view.width / 2 - ((left + right) / 2) * view.k;
  const middle = points.length ? (Math.min(...ys) + Math.max(...ys)) / 2 : 0;
  view.y = view.height / 2 - (middle * 0.5 + 0.5 * ((NORTH + SOUTH) / 2)) * view.k;
  view.touched = false;
  clamp();
  redraw();
}

function resize() {
  const { width, height } = box.getBoundingClientRect();
  if (!width || (width === view.width && height === view.height)) return;
  Object.assign(view, { width, height });
  setAttr(root, "viewBox", `0 0 ${width} ${height}`);
  if (!view.touched) fit();
  else zoom(1);
  uncover();
}

/** Drag with one pointer, pinch with two; a press that does not move stays a click. */
function pointers() {
  const held = new Map();
  let moved = 0;
  root.addEventListener("pointerdown", (event) => {
    held.set(event.pointerId, [event.clientX, event.clientY]);
    moved = 0;
  });
  root.addEventListener("pointermove", (event) => {
    const last = held.get(event.pointerId);
    if (!last) return;
    const [dx, dy] = [event.clientX - last[0], event.clientY - last[1]];
    moved += Math.abs(dx) + Math.abs(dy);
    if (moved < 5) return;
    root.setPointerCapture(event.pointerId);
    const other = [...held].find(([id]) => id !== event.pointerId)?.[1];
    held.set(event.pointerId, [event.clientX, event.clientY]);
    if (other) return pinch(last, [event.clientX, event.clientY], other);
    view.x += dx;
    view.y += dy;
    view.touched = true;
    clamp();
    redraw();
  });
  const end = (event) => held.delete(event.pointerId);
  for (const name of ["pointerup", "pointercancel", "pointerleave"]) root.addEventListener(name, end);
}

function pinch(before, after, other) {
  const distance = (point) => Math.hypot(point[0] - other[0], point[1] - other[1]) || 1;
  const { left, top } = root.getBoundingClientRect();
  zoom(distance(after) / distance(before), (after[0] + other[0]) / 2 - left, (after[1] + other[1]) / 2 - top);
}

async function loadLand() {
  const world = await (await fetch("data/world.json")).json();
  const graticule = [];
  for (let longitude = -150; longitude <= 180; longitude += 30) {
    graticule.push([longitude, -80, ...Array.from({ length: 16 }, () => [0, 10]).flat()]);
  }
  for (let latitude = -60; latitude <= 80; latitude += 20) {
    graticule.push([-180, latitude, ...Array.from({ length: 36 }, () => [10, 0]).flat()]);
  }
  const lines = (list, unit, close) => list.map((flat) => pathData(flat, unit, SCALE, close)).join("");
  land.append(
    svg("path", { class: "graticule", d: lines(graticule, 1, false) }),
    svg("path", { class: "ground", d: lines(world.land, world.unit, true) }),
    svg("path", { class: "borders", d: lines(world.borders, world.unit, false) }),
  );
}

export async function startMap() {
  box.prepend(root);
  pointers();
  root.addEventListener("wheel", (event) => {
    event.preventDefault();
    const { left, top } = root.getBoundingClientRect();
    zoom(Math.exp(-event.deltaY * 0.0016), event.clientX - left, event.clientY - top);
  }, { passive: false });
  byId("zoom-in").addEventListener("click", () => zoom(1.6));
  byId("zoom-out").addEventListener("click", () => zoom(1 / 1.6));
  byId("zoom-fit").addEventListener("click", fit);
  new ResizeObserver(resize).observe(box);
  on("vm", uncover);
  on("alarms", redraw);
  let fitted = "";
  on("infras", () => {
    const wanted = `${state.key}:${vms().length > 0}`;
    if (fitted !== wanted && view.width && !view.touched) fit();
    else redraw();
    fitted = wanted;
  });
  resize();
  await loadLand();
}
