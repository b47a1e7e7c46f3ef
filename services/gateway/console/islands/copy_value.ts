/** Copies a value as it is, which the page shows defanged. */
export class CopyValue extends HTMLElement {
  connectedCallback(): void {
    const button = this.querySelector("button");
    if (!button || !navigator.clipboard) return;
    button.hidden = false;
    button.addEventListener("click", () => void this.copy(button));
  }

  private async copy(button: HTMLButtonElement): Promise<void> {
    await navigator.clipboard.writeText(this.dataset.value ?? "");
    const before = [...button.childNodes];
    button.replaceChildren(this.dataset.done ?? "");
    window.setTimeout(() => button.replaceChildren(...before), 1500);
  }
}
