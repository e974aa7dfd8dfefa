// Geometry of the map. In: degrees. Out: plane coordinates (Natural Earth projection), hulls, groups. Pure.

/** Natural Earth projection (Patterson 2008, polynomial by Šavrič et al. 2011); radians on a unit globe, y down. */
export function project(longitude, latitude) {
  const lambda = (longitude * Math.PI) / 180;
  const phi = (latitude * Math.PI) / 180;
  const p2 = phi * phi;
  const p4 = p2 * p2;
  const x = lambda * (0.8707 - 0.131979 * p2 + p4 * (-0.013791 + p4 * (0.003971 * p2 - 0.001529 * p4)));
  const y = phi * (1.007226 + p2 * (0.015085 + p4 * (-0.044475 + 0.028874 * p2 - 0.005916 * p4)));
  return [x, -y];
}

/** One line of world.json (first point, then differences, in `unit` degrees) as SVG path data, scaled. */
export function pathData(flat, unit, scale, close) {
  let longitude = 0;
  let latitude = 0;
  let text = "";
  for (let i = 0; i < flat.length; i += 2) {
    longitude += flat[i];
    latitude += flat[i + 1];
    const [x, y] = project(longitude * unit, latitude * unit);
    text += `${i ? "L" : "M"}${(x * scale).toFixed(1)},${(y * scale).toFixed(1)}`;
  }
  return close ? `${text}Z` : text;
}

/** Convex hull (monotone chain) of [x, y] points, in order. */
export function hull(points) {
  const sorted = [...points].sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  if (sorted.length < 3) return sorted;
  const cross = (o, a, b) => (a[0] - o[0]) * (b[1] - o[1]) - (a[1] - o[1]) * (b[0] - o[0]);
  const half = (list) => {
    const chain = [];
    for (const point of list) {
      while (chain.length > 1 && cross(chain.at(-2), chain.at(-1), point) <= 0) chain.pop();
      chain.push(point);
    }
    return chain.slice(0, -1);
  };
  return [...half(sorted), ...half(sorted.reverse())];
}

/** Radius in pixels that `count` fanned-out dots take. */
export const fanRadius = (count, step) => (count === 1 ? step * 0.6 : step * 0.62 * Math.sqrt(count) + step * 0.35);

/** Place of dot `i` of `count`: evenly spread on a disc (sunflower), two side by side. */
export function fan(i, count, step) {
  if (count === 1) return [0, 0];
  if (count === 2) return [(i - 0.5) * step * 1.15, 0];
  if (count <= 5) return [Math.sin((i * 2 * Math.PI) / count) * step * 0.9, -Math.cos((i * 2 * Math.PI) / count) * step * 0.9];
  const distance = step * 0.66 * Math.sqrt(i + 0.4);
  return [Math.cos(i * 2.39996) * distance, Math.sin(i * 2.39996) * distance];
}

/** Join sites {x, y, vms} whose fans would touch, until none do. */
export function cluster(sites, step, most) {
  const groups = sites.map((site) => ({ ...site, vms: [...site.vms], places: [site.place] }));
  const radius = (group) => (group.vms.length > most ? 17 : fanRadius(group.vms.length, step));
  for (let a = 0; a < groups.length; a += 1) {
    for (let b = a + 1; b < groups.length; b += 1) {
      const [one, two] = [groups[a], groups[b]];
      if (Math.hypot(one.x - two.x, one.y - two.y) > radius(one) + radius(two)) continue;
      const total = one.vms.length + two.vms.length;
      const mix = (key) => (one[key] * one.vms.length + two[key] * two.vms.length) / total;
      groups[a] = { x: mix("x"), y: mix("y"), vms: [...one.vms, ...two.vms], places: [...new Set([...one.places, ...two.places])] };
      groups.splice(b, 1);
      a = -1;
      break;
    }
  }
  return groups;
}
