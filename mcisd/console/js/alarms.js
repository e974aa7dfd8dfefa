// Alarms and thresholds of the shown MCIS. In: the store. Out: two lists and the badge in the top bar.

import { byId, el, setText } from "./dom.js";
import * as format from "./format.js";
import { t } from "./i18n.js";
import { loadThresholds } from "./sync.js";
import { chooseVm, on, state, vmOfAlarm } from "./store.js";

const RANK = { firing: 0, pending: 1, ok: 2 };
const RESOLVED_S = 3600;
const MOST = 100;

const value = (one) => (one === null || one === undefined ? "–" : format.number(one));

function alarmRow(alarm) {
  const phase = alarm.phase === "ok" ? "resolved" : alarm.phase;
  const since = alarm.phase === "ok" ? alarm.resolvedAt : alarm.since;
  const vm = vmOfAlarm(alarm);
  const subject = vm
    ? el("button", { type: "button", class: "link", text: vm.name, onclick: () => chooseVm(vm.name) })
    : el("span", { text: alarm.subject });
  return el("li", { class: `alarm ${phase} sev-${alarm.severity}` },
    el("span", { class: "phase", text: t(phase) }),
    el("span", { class: "what" }, el("b", { text: alarm.rule }), subject),
    el("span", { class: "n value", text: alarm.threshold === null ? value(alarm.value) : `${value(alarm.value)} / ${value(alarm.threshold)}` }),
    el("span", { class: "muted sev", text: alarm.severity }),
    el("time", { class: "muted n", title: `${format.time(since)} · ${format.utc(since)}`, text: format.ago(since) }));
}

function drawAlarms() {
  const horizon = Date.now() / 1000 - RESOLVED_S;
  const mine = state.alarms
    .filter((alarm) => `${alarm.nameSpace}/${alarm.infraSvc}` === state.key && (alarm.phase !== "ok" || alarm.resolvedAt > horizon))
    .sort((a, b) => RANK[a.phase] - RANK[b.phase] || b.since - a.since);
  byId("alarm-list").replaceChildren(...mine.slice(0, MOST).map(alarmRow));
  byId("no-alarms").hidden = mine.length > 0;
  const count = state.alarms.filter((alarm) => alarm.phase === "firing").length;
  const badge = byId("badge");
  setText(badge, String(count));
  badge.classList.toggle("bad", count > 0);
  badge.setAttribute("aria-label", t("alarmsBadge", { n: count }));
  badge.title = t("alarmsBadge", { n: count });
  document.title = `${count ? `(${count}) ` : ""}mcisd`;
}

function condition(rule) {
  if (rule.metric === "nodata" || rule.noDataS > 0) return t("nodata", { s: rule.noDataS });
  const over = rule.windowS ? `${rule.aggregation}(${rule.metric}, ${rule.windowS} s)` : rule.metric;
  return [`${over} ${rule.comparison} ${rule.threshold}`, rule.forS ? t("for", { s: rule.forS }) : "",
    rule.recovery === null || rule.recovery === undefined ? "" : t("recovers", { v: rule.recovery })].filter(Boolean).join(", ");
}

function drawThresholds() {
  byId("threshold-rows").replaceChildren(...state.thresholds.map((rule) =>
    el("tr", { class: rule.enabled ? "" : "muted" },
      el("td", {}, el("b", { text: rule.name ?? "–" })), el("td", { class: "n", text: condition(rule) }),
      el("td", { text: rule.vm || t(rule.level === "infra" ? "wholeInfra" : "perVm") }),
      el("td", {}, el("span", { class: `sev sev-${rule.severity}`, text: rule.severity })))));
  byId("no-thresholds").hidden = state.thresholds.length > 0;
}

export function startAlarms() {
  on("alarms chosen", drawAlarms);
  on("thresholds", drawThresholds);
  on("chosen", loadThresholds);
  byId("badge").addEventListener("click", () => byId("alarms").scrollIntoView({ behavior: "smooth", block: "center" }));
  setInterval(() => document.hidden || drawAlarms(), 5000); // "since" grows
}
