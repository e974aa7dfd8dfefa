// Puts the page together. In: the parts. Out: a running console, or the plain page for those signed out.

import { startActions } from "./actions.js";
import { startAlarms } from "./alarms.js";
import { onSignedOut } from "./api.js";
import { startCharts } from "./charts.js";
import { byId, el, stateClass } from "./dom.js";
import { startEvents } from "./events.js";
import * as format from "./format.js";
import { applyLanguage, language, t, toggleLanguage } from "./i18n.js";
import { startList } from "./list.js";
import { startMap } from "./map.js";
import { startSamples } from "./samples.js";
import { chooseInfra, infra, keyOf, on, state } from "./store.js";
import { startSync } from "./sync.js";
import { startTheme, toggleTheme } from "./theme.js";
import { startPanel } from "./vmpanel.js";

const STATES = ["Running", "Creating", "Suspended", "Terminating", "Terminated", "Failed", "Undefined"];

function drawChooser() {
  const chooser = byId("chooser");
  const keys = state.infras.map(keyOf);
  if (chooser.dataset.keys !== keys.join()) {
    chooser.replaceChildren(...keys.map((key) => el("option", { value: key, text: key.replace("/", " / ") })));
    chooser.dataset.keys = keys.join();
  }
  chooser.value = state.key;
  chooser.hidden = !keys.length;
}

function drawTop() {
  const shown = infra();
  byId("empty").hidden = Boolean(shown) || !state.loaded;
  byId("status").textContent = shown?.status ?? "";
  byId("status").className = `status ${stateClass((shown?.status ?? "").replace("Partial-", "").split(":")[0])}`;
  const up = shown ? shown.vms.filter((vm) => vm.agent === "up").length : 0;
  byId("sums").textContent = shown
    ? [t("agentsUp", { n: up, m: shown.vms.length }), shown.pricePerHour === null ? "" : t("perHour", { p: format.price(shown.pricePerHour) })].filter(Boolean).join(" · ")
    : "";
  drawChooser();
}

function drawLink() {
  byId("link").className = `link-state ${state.link}`;
  byId("link-text").textContent = t(state.link);
  byId("banner").hidden = state.link !== "reconnecting";
}

function signedOut() {
  state.ended = true;
  byId("page").hidden = true;
  byId("signed-out").hidden = false;
}

async function start() {
  applyLanguage();
  startTheme();
  onSignedOut(signedOut);
  byId("theme").addEventListener("click", toggleTheme);
  byId("language").textContent = language === "ko" ? "EN" : "KO";
  byId("language").addEventListener("click", toggleLanguage);
  byId("chooser").addEventListener("change", (event) => chooseInfra(event.target.value));
  byId("legend").append(...STATES.map((name) => el("li", { class: stateClass(name), text: name })));
  on("infras", drawTop);
  on("link", drawLink);
  drawLink();
  for (const part of [startActions, startPanel, startList, startAlarms, startEvents, startCharts, startSamples]) part();
  await Promise.all([startMap(), startSync()]);
}

start();
