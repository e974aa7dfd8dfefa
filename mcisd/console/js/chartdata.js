// Measurements of the shown VMs on one time axis. In: history answers (10 s steps), live samples (2 s).
// Out: columns for the plots. Up to LINES VMs each keep a line; more become lowest, average, highest.

export const SPAN_S = 3600;
const LINES = 20;
const SLOT_S = 2;
const GAP_S = 8; // four ticks without a sample are a hole, not jitter
const KEEP_LIVE_S = 120; // after history was read again it covers what is older

const blank = (count) => Array.from({ length: count }, () => []);

export class ChartData {
  /** `names` the VMs, `columns` the metrics such as "cpu.usage_active". */
  constructor(names, columns) {
    this.names = names;
    this.columns = columns;
    this.band = names.length > LINES;
    this.width = this.band ? 3 : names.length;
    this.index = new Map(names.map((name, i) => [name, i]));
    this.past = this.#table();
    this.live = this.#table();
    this.lastSeen = new Map();
    this.slot = null; // sums of the newest slots, for the average of a band
  }

  #table() {
    return { xs: [], rows: Object.fromEntries(this.columns.map((column) => [column, blank(this.width)])), sums: new Map() };
  }

  /** Take one column's history in place of what was there; `series` as the API answers it. */
  readHistory(answers, step) {
    const table = this.#table();
    const times = new Set();
    const points = new Map();
    for (const { column, series } of answers) {
      const byVm = points.get(column) ?? points.set(column, new Map()).get(column);
      for (const one of series) this.#sum(byVm, one, step, times);
    }
    table.xs = withHoles([...times].sort((a, b) => a - b), step);
    for (const column of this.columns) {
      const byVm = points.get(column) ?? new Map();
      table.xs.forEach((x, i) => this.#put(table.rows[column], i, this.names.map((name) => byVm.get(name)?.get(x) ?? null)));
    }
    this.past = table;
    if (table.xs.length) this.#forgetLive(Math.min(Date.now() / 1000 - KEEP_LIVE_S, table.xs.at(-1)));
  }

  /** Several interfaces or disks of one VM add up. */
  #sum(byVm, one, step, times) {
    if (!this.index.has(one.vm)) return;
    const values = byVm.get(one.vm) ?? byVm.set(one.vm, new Map()).get(one.vm);
    one.times.forEach((time, i) => {
      const value = one.values[i];
      if (value === null) return;
      const x = Math.round(time / step) * step;
      times.add(x);
      values.set(x, (values.get(x) ?? 0) + value);
    });
  }

  #put(row, i, values) {
    if (!this.band) return values.forEach((value, vm) => (row[vm][i] = value));
    const known = values.filter((value) => value !== null);
    row[0][i] = known.length ? Math.min(...known) : null;
    row[1][i] = known.length ? known.reduce((a, b) => a + b, 0) / known.length : null;
    row[2][i] = known.length ? Math.max(...known) : null;
  }

  /** One sample of one VM. */
  add(name, time, values) {
    const vm = this.index.get(name);
    const now = Date.now() / 1000;
    if (vm === undefined || time > now + 30 || time < now - KEEP_LIVE_S) return; // a replay belongs to history
    const x = Math.floor(time / SLOT_S) * SLOT_S;
    const { xs, rows } = this.live;
    if (xs.length && x - xs.at(-1) > GAP_S) this.#slotAt(xs.at(-1) + SLOT_S, null);
    const i = this.#slotAt(x, undefined);
    const last = this.lastSeen.get(name);
    for (const column of this.columns) {
      const value = values[column];
      if (value === undefined || value === null) continue;
      if (this.band) this.#merge(column, x, i, value);
      else {
        if (last && time - last > GAP_S && i > 0 && rows[column][vm][i - 1] === undefined) rows[column][vm][i - 1] = null;
        rows[column][vm][i] = value;
      }
    }
    this.lastSeen.set(name, time);
    if (xs.length > 2 && xs[0] < now - SPAN_S) this.#forgetLive(now - SPAN_S);
  }

  #merge(column, x, i, value) {
    const row = this.live.rows[column];
    const key = `${column}@${x}`;
    const sum = this.live.sums.get(key) ?? { total: 0, count: 0 };
    sum.total += value;
    sum.count += 1;
    this.live.sums.set(key, sum);
    row[0][i] = Math.min(row[0][i] ?? Infinity, value);
    row[1][i] = sum.total / sum.count;
    row[2][i] = Math.max(row[2][i] ?? -Infinity, value);
    if (this.live.sums.size > 16 * this.columns.length) this.live.sums.delete(this.live.sums.keys().next().value);
  }

  /** Place of slot `x`, made where it is missing. */
  #slotAt(x, empty) {
    const { xs, rows } = this.live;
    let i = xs.length;
    while (i > 0 && xs[i - 1] > x) i -= 1;
    if (i > 0 && xs[i - 1] === x) return i - 1;
    xs.splice(i, 0, x);
    for (const column of this.columns) for (const line of rows[column]) line.splice(i, 0, empty);
    return i;
  }

  #forgetLive(before) {
    const { xs, rows } = this.live;
    const count = xs.findIndex((x) => x > before);
    const cut = count === -1 ? xs.length : count;
    xs.splice(0, cut);
    for (const column of this.columns) for (const line of rows[column]) line.splice(0, cut);
  }

  /** [xs, line, line, …] for a plot of these columns from `start` on; `signs` turns a column downwards. */
  table(columns, signs, start) {
    const cut = this.live.xs.length ? this.live.xs[0] : Infinity;
    const from = this.past.xs.findIndex((x) => x >= start);
    const to = this.past.xs.findIndex((x) => x >= cut);
    const past = (line) => (from === -1 ? [] : line.slice(from, to === -1 ? undefined : to));
    const turned = (line, sign) => (sign === 1 ? line : line.map((value) => (value ? -value : value)));
    const lines = columns.flatMap((column, c) =>
      Array.from({ length: this.width }, (_, i) =>
        turned([...past(this.past.rows[column][i]), ...this.live.rows[column][i]], signs[c])));
    return [[...past(this.past.xs), ...this.live.xs], ...lines];
  }
}

/** The axis with an empty place in every hole, so that a line breaks there. */
function withHoles(times, step) {
  return times.flatMap((x, i) => (i && x - times[i - 1] > 1.5 * step ? [times[i - 1] + step, x] : [x]));
}
