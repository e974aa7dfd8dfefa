// Light or dark: the system's wish unless the user chose. Out: data-theme on <html>, "theme" event for canvas drawing.

import { emit } from "./store.js";

const dark = matchMedia("(prefers-color-scheme: dark)");

function apply() {
  const chosen = localStorage.getItem("mcisd.theme");
  document.documentElement.dataset.theme = chosen ?? (dark.matches ? "dark" : "light");
  emit("theme");
}

export function toggleTheme() {
  localStorage.setItem("mcisd.theme", document.documentElement.dataset.theme === "dark" ? "light" : "dark");
  apply();
}

/** The value of a CSS custom property, for canvas. */
export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

export function startTheme() {
  dark.addEventListener("change", apply);
  apply();
}
