// A server-sent event stream that mends itself. In: a path. Out: onEvent({id, type, data}), onState(live|reconnecting).
// fetch instead of EventSource: it shows the status (401 ends the session) and takes events of every name.

import { request } from "./api.js";

const IDLE_MS = 45000; // silent longer than any heartbeat: look again
const LONGEST_MS = 15000;

const pause = (ms, signal) =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => resolve(clearTimeout(timer)), { once: true });
  });

/** Read one connection to its end. */
async function read(body, touch, onEvent) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let event = { id: "", type: "message", data: [] };
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    touch();
    const lines = (rest + value).split(/\r?\n/);
    rest = lines.pop();
    for (const line of lines) {
      if (line === "") {
        if (event.data.length) onEvent({ ...event, data: event.data.join("\n") });
        event = { id: "", type: "message", data: [] };
      } else if (line.startsWith("data:")) event.data.push(line.slice(5).trimStart());
      else if (line.startsWith("event:")) event.type = line.slice(6).trim();
      else if (line.startsWith("id:")) event.id = line.slice(3).trim();
    }
  }
}

/** Follow `path` until close(); `last` is the id to resume after. */
export function openStream(path, { onEvent, onState = () => {}, last = "" }) {
  const life = new AbortController();

  async function once() {
    const connection = new AbortController();
    const stop = () => connection.abort();
    life.signal.addEventListener("abort", stop, { once: true });
    let timer = setTimeout(stop, LONGEST_MS);
    const touch = () => {
      clearTimeout(timer);
      timer = setTimeout(stop, IDLE_MS);
    };
    try {
      const headers = { Accept: "text/event-stream", ...(last ? { "Last-Event-ID": last } : {}) };
      const answer = await request(path, { headers, signal: connection.signal });
      touch();
      onState("live");
      await read(answer.body, touch, (event) => {
        if (event.id) last = event.id;
        onEvent(event);
      });
    } finally {
      clearTimeout(timer);
      life.signal.removeEventListener("abort", stop);
    }
  }

  async function follow() {
    let wait = 500;
    while (!life.signal.aborted) {
      const begun = performance.now();
      const failure = await once().catch((error) => error);
      if (life.signal.aborted || failure?.status === 401) return;
      const lived = performance.now() - begun;
      if (lived > 10000) wait = 500;
      if (!(failure?.name === "AbortError" && lived > IDLE_MS)) onState("reconnecting");
      await pause(wait * (0.75 + Math.random() / 2), life.signal);
      wait = Math.min(LONGEST_MS, wait * 1.8);
    }
  }

  const finished = follow();
  return { close: () => life.abort(), finished };
}
