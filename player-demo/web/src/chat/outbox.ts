// Messages on their way, by conversation. They outlast the view that they were written in, go one after another, and each is one
// message however often it is sent. Its files go first, each by a key of its own, so that it is kept once too.
import { backOff } from '../pauses';
import { Refused } from '../session';
import { unique } from '../unique';
import { holds } from '../unsaved';
import { keep, send, type Attachment, type Message } from './api';

/** Milliseconds before the second try, and at most; tries of one message or file, and how long each may take: 20 MiB at 600 kbit/s. */
const PAUSE = [500, 8000] as const;
const TRIES = 40;
const PATIENCE = { message: 20_000, file: 300_000 } as const;
/** Tries of a file that did not come in the time that the chat gives it: another would not either. */
const SLOW = 2;
/** Messages of a conversation that wait at most. */
const MOST = 50;

/** A file of a message. */
export interface Carried {
  file: File;
  key: string;
  /** What the chat calls it, once it has it. */
  kept?: Attachment | undefined;
}

export interface Waiting {
  client: string;
  text: string;
  /** The same ones for as long as it is tried: what is kept is not sent again. */
  files: readonly Carried[];
  tick: 'waits' | 'failed';
  /** Why it failed. */
  why: string;
  /** Its number, once it is acknowledged. */
  seq?: number;
}

export type Sent = Message & { seq: number };

/** True for a refusal that another try would meet too. */
const isFinal = (error: unknown): error is Refused => error instanceof Refused && (error.status < 500 || error.status === 507) && ![408, 409].includes(error.status) && (error.status !== 429 || error.kind === 'too-many-files');

const isSlow = (error: Error): boolean => error instanceof Refused && error.status === 408;

/** True where a file was not kept for as long as the message waited. */
const isLapsed = (error: Error): boolean => error instanceof Refused && error.kind === 'no-such-file';

/** A file may be gone, or changed, since it was chosen. */
const isReadable = (file: File): Promise<boolean> => file.slice(0, 1).arrayBuffer().then(() => true, () => false);

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
  add(text: string, files: readonly File[] = []): boolean {
    if (this.all.length >= MOST) return false;
    const client = unique();
    this.all.push({ client, text, files: files.map((file, n) => ({ file, key: `${client}-${n}` })), tick: 'waits', why: '' });
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

  /** Whether something is on its way still, or failed. */
  unsent(): boolean {
    return this.all.some(({ seq }) => seq === undefined);
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

  /** Has its files kept, then sends it. */
  private async deliver(one: Waiting): Promise<void> {
    let sent = await this.said(one);
    if (sent instanceof Error && isLapsed(sent) && one.files.length > 0) {
      for (const carried of one.files) Object.assign(carried, { key: unique(), kept: undefined });
      sent = await this.said(one);
    }
    if (sent instanceof Error) return this.fail(sent.message, (other) => other === one);
    if (!sent) return;
    one.seq = sent.seq;
    this.changed(sent);
  }

  private async said(one: Waiting): Promise<Sent | Error | null> {
    for (const carried of one.files) {
      if (carried.kept) continue;
      const kept = await this.persist(one, () => keep(this.room, carried.file, carried.key, AbortSignal.timeout(PATIENCE.file)), carried.file);
      if (!kept || kept instanceof Error) return kept;
      carried.kept = kept;
      this.changed();
    }
    const attachments = one.files.flatMap(({ kept }) => kept ?? []);
    return this.persist(one, () => send(this.room, one.client, one.text, attachments, AbortSignal.timeout(PATIENCE.message)));
  }

  /** Does a step of it until that is done or fails for good; null once nobody answers, or the message is in the story all the same. */
  private async persist<T>(one: Waiting, step: () => Promise<T>, file?: File): Promise<T | Error | null> {
    let slow = 0;
    for (let n = 1; this.all.includes(one); n += 1) {
      const done = await step().catch((error: Error) => error);
      if (!(done instanceof Error) || isFinal(done)) return done;
      if (isSlow(done)) slow += 1;
      if (file && !(await isReadable(file))) return new Error(`“${file.name}” cannot be read any more.`);
      // What is too much for a file need not be for the messages behind it.
      if (file && (n >= TRIES || slow >= SLOW)) return done;
      if (n >= TRIES) {
        // Where nobody answers any more, none of those that wait behind it fares better.
        this.fail(done.message, ({ seq }) => seq === undefined);
        return null;
      }
      await new Promise((wait) => setTimeout(wait, backOff(n - 1, PAUSE) * (0.5 + Math.random())));
    }
    return null;
  }

  private fail(why: string, which: (one: Waiting) => boolean): void {
    this.all = this.all.map((one) => (one.tick === 'waits' && which(one) ? { ...one, tick: 'failed', why } : one));
    this.changed();
  }
}

/** Each conversation's; the page is loaded anew when somebody signs in or out, and with it they are gone. */
const boxes = new Map<string, Outbox>();

holds(() => [...boxes.values()].some((box) => box.unsent()));

export function outbox(room: string): Outbox {
  const box = boxes.get(room) ?? new Outbox(room);
  boxes.set(room, box);
  return box;
}
