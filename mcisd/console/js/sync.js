// Keeps the store like the daemon. In: the event stream and, as a safety net, slow polls. Out: store topics.

import { get } from "./api.js";
import { openStream } from "./stream.js";
import { EVENTS, chooseInfra, emit, infra, keyOf, pathOf, state } from "./store.js";
import { throttle } from "./dom.js";

const POLL_MS = 20000;
const HIDDEN_MS = 30000; // a tab out of sight gives its connections back after this
let stream = null;
let hiddenTimer = 0;

function link(value) {
  if (state.link === value) return;
  const back = value === "live" && state.link === "reconnecting";
  state.link = value;
  emit("link");
  if (back) refreshAll();
}

/** A failed read shows as a lost link; the stream and the next poll mend it. */
async function safely(work) {
  if (state.ended) return;
  try {
    await work();
  } catch (error) {
    if (error.name === "TypeError" || error.name === "TimeoutError" || error.status >= 500) link("reconnecting");
    else if (error.status !== 401) console.warn(`read failed: ${error.message}`);
  }
}

function pick() {
  const [ns, name, vm] = location.hash.slice(1).split("/").map(decodeURIComponent);
  const wanted = state.infras.find((one) => keyOf(one) === `${ns}/${name}`);
  const largest = state.infras.reduce((a, b) => (b.vms.length > (a?.vms.length ?? -1) ? b : a), null);
  if (infra()) return;
  if (!wanted && !largest) return chooseInfra("");
  chooseInfra(keyOf(wanted ?? largest));
  if (wanted && vm) {
    state.vm = vm;
    emit("vm");
  }
}

const loadInfras = () =>
  safely(async () => {
    state.infras = await get("/infra");
    state.loaded = true;
    pick();
    emit("infras");
  });

const loadOne = () =>
  safely(async () => {
    const key = state.key;
    if (!key) return;
    const fresh = await get(pathOf(key)).catch((error) => {
      if (error.status === 404) return null;
      throw error;
    });
    if (!fresh) return loadInfras();
    state.infras = state.infras.map((one) => (keyOf(one) === key ? fresh : one));
    emit("infras");
  });

const loadAlarms = () =>
  safely(async () => {
    state.alarms = await get("/alarms");
    emit("alarms");
  });

export const loadThresholds = () =>
  safely(async () => {
    state.thresholds = state.key ? (await get(`${pathOf()}/alarmThresholds`)).thresholds : [];
    emit("thresholds");
  });

export const refreshInfras = throttle(loadInfras, 1000);
export const refreshOne = throttle(loadOne, 700);
const refreshAlarms = throttle(loadAlarms, 500);

export function refreshAll() {
  refreshInfras();
  refreshAlarms();
  loadThresholds();
}

/** What to read again after an event of this type. */
function react(event) {
  const kind = event.type.split(".")[0];
  const mine = event.subject.startsWith(`ns/${state.key.replace("/", "/infra/")}`);
  if (kind === "infra" || (["vm", "agent"].includes(kind) && !mine)) refreshInfras();
  else if (["vm", "agent", "operation", "resource"].includes(kind)) refreshOne();
  else if (kind === "alarm") refreshAlarms();
  if (event.type.startsWith("operation.")) emit("operation", event);
}

const seen = () => state.events[0]?.sequence ?? 0;

function receive(raw) {
  let event;
  try {
    event = JSON.parse(raw.data);
  } catch (error) {
    console.warn(`event ${raw.id} is not JSON: ${error.message}`);
    return;
  }
  if (event.sequence <= seen()) return;
  state.events.unshift(event);
  if (state.events.length > EVENTS) state.events.length = EVENTS;
  emit("events");
  react(event);
}

function openEvents() {
  stream?.close();
  stream = openStream("/events", { onEvent: receive, onState: link, last: String(seen() || "") });
}

function watchVisibility() {
  clearTimeout(hiddenTimer);
  if (document.hidden) {
    hiddenTimer = setTimeout(() => {
      stream?.close();
      stream = null;
      link("paused");
    }, HIDDEN_MS);
  } else if (!stream) {
    openEvents();
    refreshAll();
  }
}

/** Read everything once, then follow. */
export async function startSync() {
  await safely(async () => {
    const past = await get(`/events?limit=${EVENTS / 2}`);
    state.events = past.sort((a, b) => b.sequence - a.sequence);
    emit("events");
  });
  await Promise.all([loadInfras(), loadAlarms()]);
  await loadThresholds();
  openEvents();
  document.addEventListener("visibilitychange", watchVisibility);
  setInterval(() => document.hidden || refreshAll(), POLL_MS);
}
