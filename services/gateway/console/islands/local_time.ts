/** One for all times of a page: to make one takes longer than to format a thousand times. */
let format: Intl.DateTimeFormat | null = null;

/** A time in the reader's zone and language; its title keeps UTC. Without scripts the UTC stays. */
export class LocalTime extends HTMLElement {
  connectedCallback(): void {
    const time = this.querySelector("time");
    const moment = time ? new Date(time.dateTime) : null;
    if (!time || !moment || Number.isNaN(moment.getTime())) return;
    format ??= new Intl.DateTimeFormat(document.documentElement.lang || undefined, {
      dateStyle: "medium",
      timeStyle: "medium",
    });
    time.textContent = format.format(moment);
  }
}
