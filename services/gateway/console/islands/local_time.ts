/** A time in the reader's zone and language; its title keeps UTC. Without scripts the UTC stays. */
export class LocalTime extends HTMLElement {
  connectedCallback(): void {
    const time = this.querySelector("time");
    const moment = time ? new Date(time.dateTime) : null;
    if (!time || !moment || Number.isNaN(moment.getTime())) return;
    const language = document.documentElement.lang || undefined;
    time.textContent = new Intl.DateTimeFormat(language, {
      dateStyle: "medium",
      timeStyle: "medium",
    }).format(moment);
  }
}
