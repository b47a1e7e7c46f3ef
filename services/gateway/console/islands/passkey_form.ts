/**
 * A form that an authenticator fills in: it makes a passkey, or signs in with one.
 *
 * Attributes: `data-act` is `create` or `get`, `data-begin` the address that gives the challenge, `data-failed` what is said
 * when nothing comes of it. Without an authenticator's interface in the browser the button stays hidden.
 */
export class PasskeyForm extends HTMLElement {
  connectedCallback(): void {
    const form = this.querySelector("form");
    if (!form || !window.PublicKeyCredential?.parseRequestOptionsFromJSON) return;
    for (const part of this.querySelectorAll<HTMLElement>("[data-shown]")) part.hidden = false;
    form.addEventListener("submit", (event) => {
      if (this.input(form, "credential").value) return;
      event.preventDefault();
      void this.fill(form);
    });
  }

  private async fill(form: HTMLFormElement): Promise<void> {
    const button = form.querySelector("button");
    if (button) button.disabled = true;
    try {
      const secret = this.input(form, "form_secret").value;
      const body = new URLSearchParams({ form_secret: secret });
      const answer = await fetch(this.dataset.begin ?? "", { method: "POST", body });
      const begun = await answer.json();
      if (!answer.ok) throw new Error(begun.problem);
      const credential = await this.ask(begun.options);
      this.input(form, "challenge_id").value = begun.challenge_id;
      this.input(form, "credential").value = JSON.stringify(credential);
      form.submit();
    } catch (error) {
      this.say(error);
      if (button) button.disabled = false;
    }
  }

  private async ask(options: never): Promise<unknown> {
    const credential =
      this.dataset.act === "create"
        ? await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) })
        : await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) });
    return (credential as PublicKeyCredential).toJSON();
  }

  /** Says that it failed, in the reader's language; the reason comes from the browser or the server. */
  private say(error: unknown): void {
    const place = this.querySelector<HTMLElement>("[data-problem]");
    if (!place) return;
    const reason = document.createElement("span");
    reason.lang = "en";
    reason.append(error instanceof Error ? error.message : String(error));
    place.replaceChildren(this.dataset.failed ?? "", " ", reason);
    place.hidden = false;
  }

  private input(form: HTMLFormElement, name: string): HTMLInputElement {
    return form.elements.namedItem(name) as HTMLInputElement;
  }
}
