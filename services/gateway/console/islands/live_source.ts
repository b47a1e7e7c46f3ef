/** What happened, as a page hears it. */
export interface Change {
  id: string;
  topic: string;
  count: number;
  subjects: string[];
}

export type State = "opening" | "live" | "lost" | "away" | "ended" | "gap";

export interface Listener {
  onState(state: State): void;
  onChange(change: Change): void;
}

/** Without a sign of life for so long the server counts as lost; it gives one each second. */
const SILENCE = 2500;
const RETRY = 1000;
const REMEMBERED = 5000;

/** One stream of changes: it notices that its server is lost, and takes it up again where it ended. */
export class LiveSource {
  private source: EventSource | null = null;
  private heardAt = Date.now();
  private since: string;
  private readonly heard = new Set<string>();
  private readonly timer: number;
  state: State = "opening";

  constructor(private readonly address: string, since: string, private readonly listener: Listener) {
    this.since = since;
    this.open();
    this.timer = setInterval(() => this.check(), 250) as unknown as number;
  }

  close(): void {
    clearInterval(this.timer);
    this.source?.close();
  }

  private open(): void {
    this.source?.close();
    this.heardAt = Date.now();
    const source = new EventSource(`${this.address}?since=${encodeURIComponent(this.since)}`);
    this.source = source;
    const hear = (name: string, act: (event: MessageEvent<string>) => void) =>
      source.addEventListener(name, (event) => {
        if (source !== this.source) return;
        this.heardAt = Date.now();
        if (this.state === "lost") this.change("live");
        act(event as MessageEvent<string>);
      });
    hear("hello", () => {
      if (this.state === "opening") this.change("live");
    });
    hear("pulse", () => undefined);
    hear("back", () => this.change("live"));
    hear("away", () => this.change("away"));
    hear("gap", () => this.listener.onState("gap"));
    hear("ended", () => {
      this.change("ended");
      this.close();
    });
    hear("change", (event) => this.take(event));
    source.addEventListener("error", () => {
      if (source === this.source && this.state !== "ended") this.change("lost");
    });
  }

  private take(event: MessageEvent<string>): void {
    if (this.heard.has(event.lastEventId)) return;
    this.heard.add(event.lastEventId);
    if (this.heard.size > REMEMBERED) this.heard.delete(this.heard.values().next().value ?? "");
    this.since = event.lastEventId;
    const change = JSON.parse(event.data) as Change;
    this.listener.onChange({ ...change, id: event.lastEventId });
  }

  /** A frozen server breaks no connection: only its silence shows. */
  private check(): void {
    if (this.state === "ended") return;
    const silence = Date.now() - this.heardAt;
    if (silence > SILENCE) this.change("lost");
    const isClosed = this.source?.readyState === EventSource.CLOSED;
    if (silence > SILENCE * 2 || (isClosed && silence > RETRY)) this.open();
  }

  private change(state: State): void {
    if (state === this.state) return;
    this.state = state;
    this.listener.onState(state);
  }
}
