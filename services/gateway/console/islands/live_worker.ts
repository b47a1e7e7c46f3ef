import { LiveSource, type Change, type State } from "./live_source";

/** One stream for all tabs: browsers allow six connections to a server over HTTP/1.1. */
const ports = new Set<MessagePort>();
let source: LiveSource | null = null;
const recent: Change[] = [];
const RECENT = 500;

function tell(message: { state: State } | { change: Change }): void {
  for (const port of ports) port.postMessage(message);
}

function take(port: MessagePort, message: { address?: string; since?: string; gone?: boolean }): void {
  if (message.gone) {
    ports.delete(port);
    return;
  }
  ports.add(port);
  if (source && source.state !== "ended") {
    port.postMessage({ state: source.state });
    const since = Number(message.since);
    for (const change of recent) {
      if (Number.parseInt(change.id, 10) >= since) port.postMessage({ change });
    }
    return;
  }
  source = new LiveSource(message.address ?? "", message.since ?? "", {
    onState: (state) => tell({ state }),
    onChange: (change) => {
      recent.push(change);
      if (recent.length > RECENT) recent.shift();
      tell({ change });
    },
  });
}

self.addEventListener("connect", (event) => {
  const port = (event as MessageEvent).ports[0];
  if (!port) return;
  port.onmessage = (message) => take(port, message.data);
});
