import { forceCollide, forceLink, forceManyBody, forceSimulation, forceX, forceY, type SimulationNodeDatum } from "d3-force";
import type { GraphPlaces, GraphShape } from "./graph_layout";

/** Half of what a node needs, in pixels: a target of 24 with a gap. */
const ROOM = 14;
const GOLDEN = Math.PI * (3 - Math.sqrt(5));
/** Longer than so many milliseconds nothing is improved. */
const PATIENCE = 300;
const STEPS = 150;
const EDGE = 120;

/** Begin with each group as a disc around a ring: what forces then have to mend is little. */
function begin({ groups }: GraphShape): SimulationNodeDatum[] {
  const sizes = new Map<number, number>();
  for (const group of groups) sizes.set(group, (sizes.get(group) ?? 0) + 1);
  sizes.delete(0);
  const radius = (size: number) => ROOM * 1.9 * Math.sqrt(size) + ROOM * 2;
  const around = [...sizes.values()].reduce((sum, size) => sum + 2 * radius(size), 0);
  const ring = Math.max(...[...sizes.values()].map(radius), 0) + Math.max(around / (2 * Math.PI), 60);
  const angles = new Map<number, number>();
  let angle = 0;
  for (const [group, size] of sizes) {
    angles.set(group, angle + (Math.PI * 2 * radius(size)) / around);
    angle += (Math.PI * 4 * radius(size)) / around;
  }
  const seen = new Map<number, number>();
  return [...groups].map((group) => {
    if (group === 0) return { x: 0, y: 0, fx: 0, fy: 0 };
    const place = seen.get(group) ?? 0;
    seen.set(group, place + 1);
    const direction = angles.get(group) ?? 0;
    const distance = ROOM * 1.9 * Math.sqrt(place);
    return {
      x: ring * Math.cos(direction) + distance * Math.cos(place * GOLDEN),
      y: ring * Math.sin(direction) + distance * Math.sin(place * GOLDEN),
    };
  });
}

function place(shape: GraphShape): GraphPlaces {
  const nodes = begin(shape);
  const links = [];
  for (let at = 0; at < shape.links.length; at += 2) links.push({ source: shape.links[at] ?? 0, target: shape.links[at + 1] ?? 0 });
  const simulation = forceSimulation(nodes)
    .force("links", forceLink(links).distance(ROOM * 4).strength(0.05))
    .force("apart", forceManyBody().strength(-20).theta(1.2).distanceMax(400))
    .force("x", forceX(0).strength(0.01))
    .force("y", forceY(0).strength(0.01))
    .force("room", forceCollide(ROOM))
    .stop();
  const until = performance.now() + PATIENCE;
  for (let step = 0; step < STEPS && performance.now() < until; step += 1) simulation.tick();
  const xs = nodes.map((node) => node.x ?? 0);
  const ys = nodes.map((node) => node.y ?? 0);
  const [left, top] = [Math.min(...xs) - EDGE, Math.min(...ys) - EDGE];
  const places = new Float32Array(nodes.length * 2);
  nodes.forEach((node, at) => places.set([(node.x ?? 0) - left, (node.y ?? 0) - top], at * 2));
  return { places, width: Math.max(...xs) - left + EDGE, height: Math.max(...ys) - top + EDGE };
}

self.addEventListener("message", (event: MessageEvent<GraphShape>) => self.postMessage(place(event.data)));
