import { LiveSource, type Change, type Listener, type State } from "./live_source";

/** Says how much is new since the page was made. Nothing moves until its reader asks for it. */
export class LiveChanges extends HTMLElement implements Listener {
  private count = 0;
  private shown = "";
  private port: MessagePort | null = null;
  private source: LiveSource | null = null;

  connectedCallback(): void {
    if (this.port || this.source) return;
    const { address = "", worker = "", browser = "", since = "" } = this.dataset;
    if (typeof SharedWorker === "undefined") {
      this.source = new LiveSource(address, since, this);
      return;
    }
    const shared = new SharedWorker(worker, { name: browser });
    this.port = shared.port;
    this.port.onmessage = ({ data }) => (data.change ? this.onChange(data.change) : this.onState(data.state));
    this.port.postMessage({ address, since });
    window.addEventListener("pagehide", () => this.port?.postMessage({ gone: true }));
    window.addEventListener("pageshow", (event) => {
      if (event.persisted) window.location.reload();
    });
  }

  disconnectedCallback(): void {
    this.port?.postMessage({ gone: true });
    this.source?.close();
  }

  onState(state: State): void {
    this.dataset.stream = state;
    if (state === "live" || state === "opening") this.show(this.count ? "new" : "");
    else this.show(state);
  }

  onChange(change: Change): void {
    const { topics = "", subject = "" } = this.dataset;
    if (!topics.split(" ").includes(change.topic)) return;
    if (subject && !change.subjects.includes(subject)) return;
    this.count += change.count;
    if (this.shown !== "gap") this.show("new");
  }

  private show(name: string): void {
    const place = this.querySelector("[data-place]");
    const template = this.querySelector("template");
    if (!place || !template) return;
    this.shown = name;
    const part = name ? template.content.querySelector(`[data-state="${name}"]`)?.cloneNode(true) : null;
    place.replaceChildren(...(part ? [part] : []));
    const counter = place.querySelector("[data-count]");
    const language = document.documentElement.lang || undefined;
    const count = this.count.toLocaleString(language);
    if (counter) counter.textContent = (counter.textContent ?? "").replace("{count}", count);
    place.querySelector("button")?.addEventListener("click", () => window.location.reload());
  }
}
