// Numbers, sizes and times as people read them. In: API values. Out: strings; "–" where there is nothing.

import { language } from "./i18n.js";

const NONE = "–";
const missing = (value) => value === null || value === undefined || Number.isNaN(value);
const clock = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const short = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(language, { month: "short", day: "numeric" });

export const percent = (value) => (missing(value) ? NONE : `${value.toFixed(value < 9.95 ? 1 : 0)} %`);
export const number = (value) => (missing(value) ? NONE : value.toFixed(Math.abs(value) < 10 ? 2 : Math.abs(value) < 100 ? 1 : 0));
export const price = (value) => (missing(value) ? NONE : `$${value.toFixed(value < 1 ? 4 : 2)}`);
export const memory = (mib) => (mib >= 1024 ? `${+(mib / 1024).toFixed(1)} GiB` : `${mib} MiB`);

/** Bytes per second with a unit of its own, e.g. 1.4 MB/s. */
export function rate(value) {
  if (missing(value)) return NONE;
  let size = Math.abs(value);
  let unit = 0;
  while (size >= 999.5 && unit < 4) {
    size /= 1000;
    unit += 1;
  }
  return `${size.toFixed(unit && size < 9.95 ? 1 : 0)} ${["B", "kB", "MB", "GB", "TB"][unit]}/s`;
}

/** Time of day in the local zone; the date too when it is another day. Seconds since the epoch. */
export function time(seconds) {
  if (missing(seconds)) return NONE;
  const moment = new Date(seconds * 1000);
  const today = moment.toDateString() === new Date().toDateString();
  return today ? clock.format(moment) : `${day.format(moment)} ${clock.format(moment)}`;
}

export const hourMinute = (seconds) => short.format(new Date(seconds * 1000));
export const hourMinuteSecond = (seconds) => clock.format(new Date(seconds * 1000));
export const utc = (seconds) => (missing(seconds) ? "" : `${new Date(seconds * 1000).toISOString().slice(0, 19).replace("T", " ")} UTC`);

/** How long ago, in one unit. */
export function ago(seconds) {
  if (missing(seconds)) return NONE;
  const past = Math.max(0, Date.now() / 1000 - seconds);
  if (past < 90) return `${Math.round(past)} s`;
  if (past < 5400) return `${Math.round(past / 60)} min`;
  return past < 129600 ? `${Math.round(past / 3600)} h` : `${Math.round(past / 86400)} d`;
}
