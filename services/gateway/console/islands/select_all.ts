/** A check box in a table's head that sets those of its rows. */
export class SelectAll extends HTMLElement {
  connectedCallback(): void {
    if (this.querySelector("input")) return;
    const box = document.createElement("input");
    box.type = "checkbox";
    box.setAttribute("aria-label", this.dataset.label ?? "");
    box.addEventListener("change", () => this.setRows(box.checked));
    this.append(box);
  }

  private setRows(checked: boolean): void {
    const rows = this.closest("table")?.querySelectorAll<HTMLInputElement>("tbody input[type=checkbox]");
    for (const row of rows ?? []) row.checked = checked;
  }
}
