// Who is here, which is asked for, and who is typing, which is told.
import { live } from '../live';
import { here, presence } from './api';

/** Milliseconds between two signs of life, as the chat wants them. */
const BEAT = 20_000;
/** Milliseconds between two looks at who types where the origin does not hear of all, between two words that one does, and for which
 * such a word counts: not until a time, since clocks of browsers are wrong. */
const TYPING = { look: 3000, say: 5000, counts: 8000 } as const;
/** Members of a conversation at most of whom it is asked who types. */
const FEW = 30;

/** Says that one is here, and tells who else is, until the page is left. */
export function beat(of: () => string[], tell: (online: Set<string>) => void): void {
  const round = async () => {
    if (document.visibilityState !== 'visible') return;
    await here();
    const all = of();
    if (all.length > 0) tell(new Set((await presence(all)).presence.filter(({ online }) => online).map(({ account }) => account)));
  };
  const go = () => void round().catch(() => undefined);
  go();
  window.setInterval(go, BEAT);
  document.addEventListener('visibilitychange', go);
}

/** Those who type in a conversation, each for as long as it was heard of lately. */
export class Typists {
  private readonly ends = new Map<string, number>();
  /** Changes with each aside: what was asked for before may be older. */
  private heard = 0;
  private scope: 'fleet' | 'process' = 'fleet';

  constructor(private readonly room: string, private readonly others: () => string[], private readonly tell: (accounts: string[]) => void, private readonly until: AbortSignal) {}

  /** Asks who types already, here and after each cut. An origin that hears of those alone who speak to it tells of no others: there it
   * is asked again and again, and sometimes another one answers. */
  begin(): void {
    live.watch((link) => link === 'open' && this.look(), this.until);
    const timer = window.setInterval(() => this.scope === 'process' && this.look(), TYPING.look);
    this.until.addEventListener('abort', () => {
      clearInterval(timer);
      for (const end of this.ends.values()) clearTimeout(end);
    }, { once: true });
  }

  /** Takes what the channel of the conversation says aside. */
  hear(said: Record<string, unknown>): void {
    this.heard += 1;
    for (const { account, typing_until_ms: types } of (said.presence ?? []) as { account: string; typing_until_ms?: number }[]) this.is(account, types !== undefined);
  }

  /** Whoever has said it types no more. */
  stops(account: string): void {
    this.is(account, false);
  }

  private look(): void {
    const [of, heard] = [this.others(), this.heard];
    if (document.visibilityState !== 'visible' || of.length === 0 || of.length > FEW) return;
    presence(of, this.room).then(({ presence: all, scope }) => {
      if (this.until.aborted) return;
      this.scope = scope;
      for (const { account, typing } of all) if (typing || heard === this.heard) this.is(account, typing);
    }, () => undefined);
  }

  private is(account: string, typing: boolean): void {
    const was = this.ends.get(account);
    clearTimeout(was);
    if (typing) this.ends.set(account, window.setTimeout(() => this.is(account, false), TYPING.counts));
    else this.ends.delete(account);
    if (typing !== (was !== undefined)) this.tell([...this.ends.keys()]);
  }
}

export interface Typing {
  /** With each letter. */
  types: () => void;
  /** What was typed is sent: the word that one types would count for a while still. */
  sends: () => void;
}

/** Says that one types, not more often than it is worth, and that one does no more. */
export function typing(room: string): Typing {
  let said = 0;
  // One word after another: the last is what is so.
  let telling: Promise<unknown> = Promise.resolve();
  const tell = (state: 'typing' | 'online') => (telling = telling.then(() => here(state, room)).catch(() => undefined));
  const types = () => {
    if (Date.now() - said < TYPING.say) return;
    said = Date.now();
    void tell('typing');
  };
  const sends = () => {
    if (Date.now() - said >= TYPING.counts) return;
    said = 0;
    void tell('online');
  };
  return { types, sends };
}
