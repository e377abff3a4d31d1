// Whether the other end of a connection is there still: who is silent is asked, and given up where nothing comes of it.

/** Milliseconds of silence before it is asked, and for which something is waited for then. */
const SILENCE = 30_000;
const ANSWER = 10_000;

export class Pulse {
  private timer = 0;
  private awaited = false;

  constructor(private readonly question: () => void, private readonly dead: () => void) {}

  /** Something is to be heard soon. */
  awaits(): void {
    if (this.awaited) return;
    this.stop();
    this.awaited = true;
    this.timer = window.setTimeout(this.dead, ANSWER);
  }

  /** Something was heard. */
  heard(): void {
    this.stop();
    this.timer = window.setTimeout(() => this.ask(), SILENCE);
  }

  /** Has it say that it is there. */
  ask(): void {
    if (!this.awaited) this.question();
    this.awaits();
  }

  stop(): void {
    clearTimeout(this.timer);
    this.awaited = false;
  }
}
