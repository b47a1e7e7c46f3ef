import type { GraphPlaces, GraphShape } from "./graph_layout";

interface GraphNode {
  group: number;
  href: string;
  label: string;
  kind: "centre" | "hub" | "leaf";
  tone: string;
  isOpen: boolean;
}

const SVG = "http://www.w3.org/2000/svg";
/** Milliseconds of work before the page may do something else. */
const SLICE = 6;
/** With more nodes a name shows only under the pointer or the focus. */
const NAMED = 60;
const SIZES = { centre: 14, hub: 12, leaf: 12 };

function make<Name extends keyof SVGElementTagNameMap>(name: Name, attributes: Record<string, string | number>): SVGElementTagNameMap[Name] {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  return element;
}

/** Does a piece of work for each item, and lets the page live between slices. */
async function inSlices<Item>(items: Iterable<Item>, act: (item: Item) => void): Promise<void> {
  let until = performance.now() + SLICE;
  for (const item of items) {
    act(item);
    if (performance.now() < until) continue;
    await new Promise((resolve) => setTimeout(resolve));
    until = performance.now() + SLICE;
  }
}

/** Draws the relations of the tables of its page; a worker finds the places. */
export class RelationGraph extends HTMLElement {
  private readonly nodes: GraphNode[] = [];
  private readonly links: number[] = [];
  private readonly byId = new Map<string, number>();
  private worker: Worker | null = null;

  connectedCallback(): void {
    if (this.worker) return;
    this.worker = new Worker(this.dataset.worker ?? "");
    void this.draw(this.worker);
  }

  disconnectedCallback(): void {
    this.worker?.terminate();
    this.worker = null;
  }

  private async draw(worker: Worker): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve));
    performance.mark("relation-graph");
    await this.read();
    const shape: GraphShape = {
      groups: Uint32Array.from(this.nodes, (node) => node.group),
      links: Uint32Array.from(this.links),
    };
    const placed = await new Promise<GraphPlaces>((resolve) => {
      worker.addEventListener("message", (event: MessageEvent<GraphPlaces>) => resolve(event.data), { once: true });
      worker.postMessage(shape);
    });
    if (this.worker !== worker) return;
    await this.show(placed);
    performance.mark("relation-graph-drawn");
    this.dataset.drawn = String(this.nodes.length);
    worker.terminate();
  }

  private async read(): Promise<void> {
    const { centre = "", home = "" } = this.dataset;
    this.nodes.push({ group: 0, href: home, label: centre, kind: "centre", tone: "plain", isOpen: true });
    for (const part of document.querySelectorAll<HTMLElement>("[data-group]")) {
      const toggle = part.querySelector<HTMLAnchorElement>("[data-toggle]");
      const group = this.nodes.length;
      const name = toggle?.textContent?.replace(/\s+/g, " ").trim() ?? "";
      const isOpen = toggle?.getAttribute("aria-expanded") === "true";
      this.nodes.push({ group, href: toggle?.href ?? "", label: name, kind: "hub", tone: "busy", isOpen });
      this.links.push(0, group);
      await inSlices(part.querySelectorAll<HTMLElement>("[data-id]"), (row) => this.readRow(row, group));
    }
  }

  private readRow(row: HTMLElement, group: number): void {
    const id = row.dataset.id ?? "";
    let node = this.byId.get(id);
    if (node === undefined) {
      const link = row.querySelector<HTMLAnchorElement>("th a");
      node = this.nodes.length;
      this.byId.set(id, node);
      const label = link?.textContent?.trim() ?? "";
      this.nodes.push({ group, href: link?.href ?? "", label, kind: "leaf", tone: row.dataset.tone ?? "plain", isOpen: true });
    }
    this.links.push(group, node);
  }

  private async show({ places, width, height }: GraphPlaces): Promise<void> {
    const svg = make("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": this.dataset.label ?? "" });
    svg.classList.toggle("named", this.nodes.length <= NAMED);
    const [lines, marks] = [make("g", { "aria-hidden": "true" }), make("g", {})];
    svg.append(lines, marks);
    const frame = document.createElement("div");
    frame.className = "graph";
    frame.append(svg);
    this.replaceChildren(frame);
    const at = (node: number): [number, number] => [places[node * 2] ?? 0, places[node * 2 + 1] ?? 0];
    const [x, y] = at(0);
    frame.scrollTo(x - frame.clientWidth / 2, y - frame.clientHeight / 2);
    await inSlices(this.nodes.entries(), ([index, node]) => marks.append(this.mark(node, at(index))));
    await inSlices(
      Array.from({ length: this.links.length / 2 }, (_, index) => index),
      (index) => {
        const [from, to] = [at(this.links[index * 2] ?? 0), at(this.links[index * 2 + 1] ?? 0)];
        lines.append(make("line", { x1: from[0], y1: from[1], x2: to[0], y2: to[1] }));
      },
    );
  }

  private mark(node: GraphNode, [x, y]: [number, number]): SVGAElement {
    const link = make("a", { href: node.href, "aria-label": node.label, class: `${node.kind} ${node.tone}`, transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})` });
    const size = SIZES[node.kind];
    if (node.kind === "hub") link.append(make("rect", { x: -size, y: -size, width: size * 2, height: size * 2, rx: 3 }));
    else link.append(make("circle", { r: size }));
    if (node.kind === "hub") {
      const sign = make("text", { class: "sign", "text-anchor": "middle", y: 5, "aria-hidden": "true" });
      sign.textContent = node.isOpen ? "−" : "+";
      link.append(sign);
    }
    const name = make("text", { class: "name", "text-anchor": "middle", y: size + 14, "aria-hidden": "true" });
    name.textContent = node.label.length > 40 ? `${node.label.slice(0, 39)}…` : node.label;
    link.append(name);
    return link;
  }
}
