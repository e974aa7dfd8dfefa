// What the page knows, and who wants to hear of changes. In: answers of the API through sync.js. Out: events by topic.

export const state = {
  infras: [], // InfraSvcInfo, all namespaces
  key: "", // "ns/name" of the shown MCIS
  vm: "", // name of the chosen VM, or ""
  alarms: [],
  thresholds: [],
  events: [], // newest first, at most EVENTS
  link: "connecting", // connecting | live | reconnecting | paused
  loaded: false,
  ended: false, // the session is over: nothing is asked any more
};

export const EVENTS = 500;
const listeners = new Map();

/** Call `work` when one of the topics changes: infras, vm, alarms, thresholds, events, link, samples, theme, region. */
export function on(topics, work) {
  for (const topic of topics.split(" ")) listeners.set(topic, [...(listeners.get(topic) ?? []), work]);
}

export function emit(topic, detail) {
  for (const work of listeners.get(topic) ?? []) work(detail);
}

export const keyOf = (infra) => `${infra.nameSpace}/${infra.name}`;
export const infra = () => state.infras.find((one) => keyOf(one) === state.key);
export const vms = () => infra()?.vms ?? [];
export const findVm = (name) => vms().find((one) => one.name === name);

export function pathOf(key = state.key) {
  const [ns, name] = key.split("/");
  return `/ns/${encodeURIComponent(ns)}/infra/${encodeURIComponent(name)}`;
}

/** Choose a VM, or none; the address of the page remembers it. */
export function chooseVm(name) {
  if (state.vm === name) return;
  state.vm = name;
  writeHash();
  emit("vm");
}

export function chooseInfra(key) {
  if (state.key === key) return;
  state.key = key;
  state.vm = "";
  writeHash();
  emit("chosen");
  emit("infras");
  emit("vm");
}

function writeHash() {
  history.replaceState(null, "", `#${[state.key, state.vm].filter(Boolean).join("/")}`);
}

/** The VM an alarm is about, if it is about one: alarms name it, plainly or at the end of a path. */
export function vmOfAlarm(alarm) {
  const last = alarm.subject.split("/").at(-1);
  return vms().find((one) => one.name === last || one.id === last);
}

/** The names of the VMs of the shown MCIS for which an alarm fires. */
export function firingVms() {
  const names = new Set();
  for (const alarm of state.alarms) {
    if (alarm.phase === "firing" && `${alarm.nameSpace}/${alarm.infraSvc}` === state.key) names.add(vmOfAlarm(alarm)?.name);
  }
  return names;
}
