// The details of the chosen VM. In: the store. Out: facts, its life-cycle buttons, its newest values.

import { makeButtons } from "./actions.js";
import { byId, el, stateClass } from "./dom.js";
import * as format from "./format.js";
import { t } from "./i18n.js";
import { latest } from "./samples.js";
import { chooseVm, findVm, on, state } from "./store.js";

function facts(vm) {
  const labels = Object.entries(vm.labels ?? {}).map(([key, value]) => `${key}=${value}`).join(", ");
  return [
    ["error", [vm.errorCode, vm.error].filter(Boolean).join(": ")], ["goal", vm.goal === vm.state ? "" : vm.goal],
    ["agent", [vm.agent, vm.agentError].filter(Boolean).join(": ")],
    ["region", [vm.region, vm.location?.display].filter(Boolean).join(" · ")], ["zone", vm.zone], ["provider", vm.providerName],
    ["connection", vm.connConfigName], ["spec", `${vm.spec ? `${vm.spec} · ` : ""}${vm.vcpus} vCPU · ${format.memory(vm.memoryMib)}`],
    ["price", format.price(vm.price)], ["image", vm.image], ["address", vm.publicAddress && `${vm.publicAddress}:${vm.sshPort}`],
    ["privateAddress", vm.privateAddress], ["user", vm.guestUser], ["cloudId", vm.cloudId], ["labels", labels],
  ].filter(([, value]) => value);
}

export function startPanel() {
  const panel = byId("panel");
  const update = makeButtons(byId("vm-actions"), ["suspend", "resume", "reboot", "terminate", "delete"], () => findVm(state.vm));
  let shown = "";

  function numbers() {
    const { time, values = {} } = latest.get(state.vm) ?? {};
    byId("vm-numbers").textContent = time
      ? `CPU ${format.percent(values["cpu.usage_active"])} · ${t("mem")} ${format.percent(values["mem.used_percent"])} · ${format.time(time)}`
      : t("noSamples");
    byId("vm-numbers").title = format.utc(time);
  }

  function draw() {
    const vm = findVm(state.vm);
    panel.hidden = !vm;
    if (!vm) return;
    byId("vm-name").textContent = vm.name;
    byId("vm-state").textContent = vm.state;
    byId("vm-state").className = `chip ${stateClass(vm.state)}`;
    const list = facts(vm);
    const text = JSON.stringify(list);
    if (text !== shown) {
      shown = text;
      byId("vm-facts").replaceChildren(...list.flatMap(([key, value]) => [el("dt", { text: t(key) }), el("dd", { text: String(value) })]));
    }
    update();
    numbers();
  }

  on("infras vm", draw);
  on("samples", () => panel.hidden || numbers());
  byId("panel-close").addEventListener("click", () => chooseVm(""));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !byId("ask").open && state.vm) chooseVm("");
  });
}
