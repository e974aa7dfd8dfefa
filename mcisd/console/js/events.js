// The event stream. In: the store's events. Out: rows, newest first; a filter; a pause that keeps the place.

import { byId, el, throttle } from "./dom.js";
import * as format from "./format.js";
import { t } from "./i18n.js";
import { EVENTS, on, state } from "./store.js";

const rows = new Map(); // sequence → row
let held = null; // the events shown while paused

const BAD = /failed|dead|firing|silent|clock-skew/;
const GOOD = /running|\.up$|resolved|ready|finished|sent|acted/;
const tone = (type) => (BAD.test(type) ? "bad" : GOOD.test(type) ? "good" : "plain");

function makeRow(event) {
  const seconds = Date.parse(event.time) / 1000;
  const text = event.data?.text ?? event.subject;
  return el("li", { class: `event ${tone(event.type)}`, "data-sequence": event.sequence },
    el("time", { class: "muted n", title: format.utc(seconds), text: format.time(seconds) }),
    el("span", { class: "type", text: event.type }), el("span", { class: "text", title: event.subject, text }));
}

function draw() {
  const words = byId("event-filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const list = held ?? state.events;
  const match = (event) => {
    const text = `${event.type} ${event.subject} ${event.data?.text ?? ""}`.toLowerCase();
    return words.every((word) => text.includes(word));
  };
  const shown = list.filter(match).slice(0, EVENTS);
  const keep = new Set(shown.map((event) => event.sequence));
  for (const [sequence, row] of rows) {
    if (keep.has(sequence)) continue;
    row.remove();
    rows.delete(sequence);
  }
  const box = byId("event-list");
  let before = box.firstChild;
  for (const event of shown) {
    const row = rows.get(event.sequence) ?? rows.set(event.sequence, makeRow(event)).get(event.sequence);
    if (row === before) before = before.nextSibling;
    else box.insertBefore(row, before);
  }
  byId("no-events").hidden = shown.length > 0;
  const fresh = held ? state.events.filter((event) => event.sequence > (held[0]?.sequence ?? 0)).length : 0;
  byId("event-pause").textContent = held ? (fresh ? `${t("go")} · ${t("newEvents", { n: fresh })}` : t("go")) : t("pause");
}

export function startEvents() {
  const soon = throttle(draw, 300);
  on("events", soon);
  byId("event-filter").addEventListener("input", soon);
  byId("event-pause").addEventListener("click", () => {
    held = held ? null : [...state.events];
    byId("event-pause").setAttribute("aria-pressed", String(Boolean(held)));
    draw();
  });
  draw();
}
