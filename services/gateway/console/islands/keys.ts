import { CommandPalette } from "./command_palette";

/** The keys of every page. A key that a field takes as text is left to it. */
export function listenForKeys(): void {
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key === "k") openCommands(event);
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    if (event.key === "/") focusSearch(event);
    else if (event.key === "?") openDialog("keys", event);
    else if (event.key === "j") moveRow(1);
    else if (event.key === "k") moveRow(-1);
  });
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.matches("input, textarea, select, [contenteditable]");
}

function focusSearch(event: KeyboardEvent): void {
  const box = document.getElementById("find");
  if (!box) return;
  event.preventDefault();
  box.focus();
}

function openDialog(name: string, event: KeyboardEvent): HTMLDialogElement | null {
  const dialog = document.getElementById(name);
  if (!(dialog instanceof HTMLDialogElement)) return null;
  event.preventDefault();
  if (!dialog.open) dialog.showModal();
  return dialog;
}

function openCommands(event: KeyboardEvent): void {
  const palette = openDialog("commands", event)?.querySelector("command-palette");
  if (palette instanceof CommandPalette) palette.open();
}

function moveRow(step: number): void {
  const links = [...document.querySelectorAll<HTMLElement>("main tbody th a")];
  if (!links.length) return;
  const here = links.findIndex((link) => link === document.activeElement);
  const next = here < 0 ? 0 : Math.min(Math.max(here + step, 0), links.length - 1);
  links[next]?.focus();
}
