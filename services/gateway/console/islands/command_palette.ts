interface Command {
  label: string;
  address: string;
}

/** Finds a screen or a link of the page by some letters of its name; the arrows choose, Enter goes. */
export class CommandPalette extends HTMLElement {
  private commands: Command[] = [];
  private chosen = 0;

  connectedCallback(): void {
    const input = this.querySelector("input");
    if (!input) return;
    input.addEventListener("input", () => this.show(input.value));
    input.addEventListener("keydown", (event) => this.onKey(event, input));
  }

  open(): void {
    const links = document.querySelectorAll<HTMLAnchorElement>("nav.side a, main a[href]");
    const byAddress = new Map<string, string>();
    for (const link of links) {
      const label = link.textContent?.trim() ?? "";
      if (label && !byAddress.has(link.href)) byAddress.set(link.href, label);
    }
    this.commands = [...byAddress].map(([address, label]) => ({ label, address }));
    const input = this.querySelector("input");
    if (input) input.value = "";
    this.show("");
  }

  private get links(): HTMLAnchorElement[] {
    return [...this.querySelectorAll<HTMLAnchorElement>("li a")];
  }

  private show(text: string): void {
    const wanted = text.toLowerCase();
    const matching = this.commands.filter((command) => command.label.toLowerCase().includes(wanted));
    const list = this.querySelector("ul");
    list?.replaceChildren(...matching.slice(0, 50).map((command, place) => this.item(command, place)));
    this.choose(0);
  }

  private item(command: Command, place: number): HTMLLIElement {
    const item = document.createElement("li");
    const link = document.createElement("a");
    item.setAttribute("role", "presentation");
    link.setAttribute("role", "option");
    link.id = `command-${place}`;
    link.href = command.address;
    link.textContent = command.label;
    item.append(link);
    return item;
  }

  private choose(place: number): void {
    const links = this.links;
    this.chosen = links.length ? (place + links.length) % links.length : 0;
    links.forEach((link, number) => link.setAttribute("aria-selected", String(number === this.chosen)));
    links[this.chosen]?.scrollIntoView({ block: "nearest" });
    this.querySelector("input")?.setAttribute("aria-activedescendant", `command-${this.chosen}`);
  }

  private onKey(event: KeyboardEvent, input: HTMLInputElement): void {
    if (event.key === "ArrowDown") this.choose(this.chosen + 1);
    else if (event.key === "ArrowUp") this.choose(this.chosen - 1);
    else if (event.key === "Enter") this.go(input);
    else return;
    event.preventDefault();
  }

  private go(input: HTMLInputElement): void {
    const link = this.links[this.chosen];
    if (link) window.location.assign(link.href);
    else window.location.assign(`/console/search?q=${encodeURIComponent(input.value)}`);
  }
}
