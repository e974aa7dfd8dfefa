// Building blocks for the page. In: plain values. Out: elements; data only ever becomes text, never markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "text") node.textContent = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export const byId = (id) => document.getElementById(id);
export const el = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
export const svg = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

/** Write text only when it differs: most ticks change few cells. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setAttr(node, name, value) {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

/** A state as its class name: one place decides which states share a colour. */
export const stateClass = (state) => `s-${String(state).toLowerCase().replace(/[^a-z]/g, "")}`;

/** Call `work` at most once per `wait` ms: at once when idle, else at the end of the wait. */
export function throttle(work, wait) {
  let timer = 0;
  let last = -Infinity;
  return () => {
    if (timer) return;
    const left = last + wait - performance.now();
    timer = setTimeout(() => {
      timer = 0;
      last = performance.now();
      work();
    }, Math.max(0, left));
  };
}
