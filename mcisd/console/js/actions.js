// Life-cycle buttons, the question before them, and the progress after. In: the store. Out: writes on the API, toasts.

import { get, write } from "./api.js";
import { byId, el } from "./dom.js";
import { t } from "./i18n.js";
import { infra, on, pathOf, state, vms } from "./store.js";
import { refreshInfras, refreshOne } from "./sync.js";

const GRAVE = new Set(["terminate", "rollback", "delete"]);
const POLL_MS = 700;
const followed = new Set();

const some = (list, ...states) => list.some((vm) => states.includes(vm.state));
const ended = (vm) => ["Terminated", "Failed"].includes(vm.state);

/** Why an action makes no sense now; "" when it does. */
function hindrance(action, list, single) {
  const word = (key) => t(single ? `vmN${key.slice(1)}` : key);
  switch (action) {
    case "suspend":
    case "reboot": return some(list, "Running") ? "" : word("needRunning");
    case "resume": return some(list, "Suspended") ? "" : word("needSuspended");
    case "terminate": return list.some((vm) => !["Terminated", "Terminating"].includes(vm.state)) ? "" : word("needAlive");
    case "delete": return list.every(ended) ? "" : word("needEnded");
    default: return some(list, "Failed") ? "" : t("needFailed");
  }
}

/** Ask in the page; true when the person agrees. */
function ask(title, text, yes, grave) {
  const dialog = byId("ask");
  byId("ask-title").textContent = title;
  byId("ask-text").textContent = text;
  byId("ask-yes").textContent = yes;
  byId("ask-yes").classList.toggle("danger", grave);
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

async function agreed(action, vm) {
  const grave = GRAVE.has(action);
  if (vm && !grave) return true;
  const what = t(action);
  const name = vm ? vm.name : infra().name;
  const where = vm
    ? t("askVmText", { region: vm.region, provider: vm.providerName })
    : t("askInfraText", { n: vms().length, r: new Set(vms().map((one) => `${one.providerName}/${one.region}`)).size });
  const title = t(vm ? "askVm" : "askInfra", { what, name });
  return ask(title, grave ? `${where} ${t("askFinal")}` : where, t("confirm", { what: what.toLowerCase() }), grave);
}

async function act(action, vm) {
  if (!(await agreed(action, vm))) return;
  const path = vm ? `${pathOf()}/vms/${encodeURIComponent(vm.name)}` : pathOf();
  try {
    if (action === "delete") await write("DELETE", path);
    else follow(await write("POST", `${path}/${action}`), vm?.name);
    refreshOne();
    if (action === "delete") refreshInfras();
  } catch (error) {
    toast(`${t(action)}: ${error.message}`, "bad");
  }
}

/** Buttons for a VM or, without one, for the whole MCIS; update() sets what is possible. */
export function makeButtons(box, actions, vmOf = null) {
  const buttons = actions.map((action) => el("button", { type: "button", class: GRAVE.has(action) ? "danger" : "", "data-action": action, text: t(action) }));
  for (const button of buttons) {
    button.addEventListener("click", () => {
      if (button.getAttribute("aria-disabled") === "true") return toast(button.title, "note");
      return act(button.dataset.action, vmOf ? vmOf() : null);
    });
  }
  box.replaceChildren(...buttons);
  return function update() {
    const list = vmOf ? [vmOf()].filter(Boolean) : vms();
    for (const button of buttons) {
      const { action } = button.dataset;
      const why = hindrance(action, list, Boolean(vmOf));
      button.setAttribute("aria-disabled", String(Boolean(why)));
      button.title = why;
      button.hidden = ["retry", "rollback", "delete"].includes(action) && Boolean(why);
    }
  };
}

/** A short notice; the returned function changes it, null as text removes it. */
export function toast(text, kind = "note", keep = false) {
  const bar = el("progress", { hidden: true });
  const words = el("span", { text });
  const close = el("button", { type: "button", class: "icon", "aria-label": t("close"), text: "×" });
  const node = el("div", { class: `toast ${kind}` }, words, bar, close);
  close.addEventListener("click", () => node.remove());
  byId("toasts").append(node);
  while (byId("toasts").children.length > 4) byId("toasts").firstElementChild.remove();
  const later = (ms) => setTimeout(() => node.remove(), ms);
  if (!keep) later(6000);
  return (operation) => {
    const { total, succeeded, failed, state: phase } = operation;
    const finished = phase !== "running";
    const outcome = finished ? t({ succeeded: "done", partial: "partial" }[phase] ?? "failed") : t("of", { n: succeeded, m: total });
    words.textContent = [text, outcome, failed ? t("failedCount", { n: failed }) : "", finished && phase !== "succeeded" ? operation.message : ""].filter(Boolean).join(" · ");
    bar.hidden = finished;
    bar.max = Math.max(1, total);
    bar.value = succeeded + failed;
    node.className = `toast ${finished ? (phase === "succeeded" ? "good" : "bad") : "note"}`;
    if (finished) later(phase === "succeeded" ? 4000 : 20000);
  };
}

const known = (kind) => (["suspend", "resume", "reboot", "terminate", "retry", "rollback"].includes(kind) ? t(kind) : kind);

/** Show the progress of an operation until it ends. */
async function follow(operation, vm) {
  if (followed.has(operation.id)) return;
  followed.add(operation.id);
  const show = toast(`${known(operation.kind)} ${vm ?? operation.infraSvc}`, "note", true);
  show(operation);
  let failures = 0;
  while (operation.state === "running" && failures < 40) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS * (1 + failures)));
    try {
      operation = await get(`/operations/${encodeURIComponent(operation.id)}`);
      failures = 0;
      show(operation);
    } catch (error) {
      if (error.status === 401 || error.status === 404) break;
      failures += 1;
    }
  }
  followed.delete(operation.id);
  refreshOne();
}

/** Operations others started show up too. */
async function adopt() {
  try {
    for (const one of await get("/operations?state=running")) if (`${one.nameSpace}/${one.infraSvc}` === state.key) follow(one);
  } catch (error) {
    console.warn(`operations could not be read: ${error.message}`);
  }
}

export function startActions() {
  const update = makeButtons(byId("actions"), ["suspend", "resume", "reboot", "terminate", "retry", "rollback", "delete"]);
  on("infras", update);
  on("operation", (event) => event.type === "operation.started" && adopt());
  on("chosen", adopt);
  update();
}
