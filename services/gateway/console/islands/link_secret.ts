/** Moves the secret of a link from behind the `#` of the address, where no log sees it, into its form. */
export class LinkSecret extends HTMLElement {
  connectedCallback(): void {
    const input = this.querySelector("input");
    const secret = window.location.hash.slice(1);
    if (!input || !secret) return;
    input.value = secret;
    window.history.replaceState(null, "", window.location.pathname);
  }
}
