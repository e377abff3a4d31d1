// Messages on their way, by conversation. They outlast the view that they were written in, go one after another, and each is one
// message however often it is sent.
import { backOff } from '../pauses';
import { Refused } from '../session';
import { unique } from '../unique';
import { send, type Message } from './api';

/** Milliseconds before the second try, and at most; tries of one message, and how long each may take. */
const PAUSE = [500, 8000] as const;
const TRIES = 40;
const PATIENCE = 20_000;
/** Messages of a conversation that wait at most. */
const MOST = 50;

export interface Waiting {
  client: string;
  text: string;
  tick: 'waits' | 'failed';
  /** Why it failed. */
  why: string;
  /** Its number, once it is acknowledged. */
  seq?: number;
}

export type Sent = Message & { seq: number };

/** True for a refusal that another try would meet too. */
const isFinal = (error: unknown): boolean => error instanceof Refused && error.status < 500 && error.status !== 429 && error.status !== 409;

export class Outbox {
  private all: Waiting[] = [];
  private busy = false;
  private readonly watchers = new Set<(sent?: Sent) => void>();

  constructor(private readonly room: string) {}

  /** What is on its way, in the order in which it goes. */
  list(): readonly Waiting[] {
    return this.all;
  }

  /** Tells of each change, and of what was acknowledged. */
  watch(tell: (sent?: Sent) => void, until: AbortSignal): void {
    this.watchers.add(tell);
    until.addEventListener('abort', () => this.watchers.delete(tell), { once: true });
  }

  /** Takes a message; false where too many wait already. */
  add(text: string): boolean {
    if (this.all.length >= MOST) return false;
    this.all.push({ client: unique(), text, tick: 'waits', why: '' });
    this.changed();
    void this.run();
    return true;
  }

  /** Sends what failed once more. */
  again({ client }: Waiting): void {
    this.all = this.all.map((one) => (one.client === client ? { ...one, tick: 'waits', why: '' } : one));
    this.changed();
    void this.run();
  }

  /** Its author takes it back. */
  takeBack({ client }: Waiting): void {
    this.settle((one) => one.client === client);
    this.changed();
  }

  /** Lets go of those that the story has. */
  settle(has: (one: Waiting) => boolean): void {
    this.all = this.all.filter((one) => !has(one));
  }

  private changed(sent?: Sent): void {
    for (const tell of this.watchers) tell(sent);
  }

  private async run(): Promise<void> {
    if (this.busy) return;
    this.busy = true;
    try {
      for (let one = this.next(); one; one = this.next()) await this.deliver(one);
    } finally {
      this.busy = false;
    }
  }

  private next(): Waiting | undefined {
    return this.all.find(({ tick, seq }) => tick === 'waits' && seq === undefined);
  }

  /** Sends until it is acknowledged, refused, or in the story all the same. */
  private async deliver(one: Waiting): Promise<void> {
    for (let n = 1; this.all.includes(one); n += 1) {
      const sent = await send(this.room, one.client, one.text, AbortSignal.timeout(PATIENCE)).catch((error: Error) => error);
      if (!(sent instanceof Error)) {
        one.seq = sent.seq;
        return this.changed(sent);
      }
      // Where nobody answers any more, none of those that wait behind it fares better.
      if (isFinal(sent)) return this.fail(sent.message, (other) => other === one);
      if (n >= TRIES) return this.fail(sent.message, ({ seq }) => seq === undefined);
      await new Promise((done) => setTimeout(done, backOff(n - 1, PAUSE) * (0.5 + Math.random())));
    }
  }

  private fail(why: string, which: (one: Waiting) => boolean): void {
    this.all = this.all.map((one) => (one.tick === 'waits' && which(one) ? { ...one, tick: 'failed', why } : one));
    this.changed();
  }
}

/** Each conversation's; the page is loaded anew when somebody signs in or out, and with it they are gone. */
const boxes = new Map<string, Outbox>();

export function outbox(room: string): Outbox {
  const box = boxes.get(room) ?? new Outbox(room);
  boxes.set(room, box);
  return box;
}
