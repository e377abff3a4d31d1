// All conversations of the account at once: what happens in any of them moves the list, and is told to the one that is open.
import { live, type Frame } from '../live';
import type { Me } from '../session';
import { cursor, rooms, token, type Happening, type Message, type Room } from './api';

/** Milliseconds between two looks for conversations that others began. */
const LOOK = 15_000;
/** Milliseconds for which a token is shown again: it is good for longer. */
const FRESH = 60_000;

export class Hub {
  readonly rooms = new Map<string, Room>();
  /** The conversation that is on the screen. */
  opened = '';
  private readonly ends = new Map<string, () => void>();
  private readonly watchers = new Set<() => void>();
  private minted: { at: number; token: Promise<string> } | null = null;
  private looking: Promise<void> | null = null;

  constructor(readonly mine: Me) {
    window.setInterval(() => document.visibilityState === 'visible' && void this.look().catch(() => undefined), LOOK);
    document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && void this.look().catch(() => undefined));
  }

  /** Reads the list, and listens to what is in it. */
  look(): Promise<void> {
    this.looking ??= rooms().then(({ conversations }) => {
      const gone = new Set(this.rooms.keys());
      for (const room of conversations) {
        gone.delete(room.id);
        // What was heard meanwhile is newer than the list.
        if ((this.rooms.get(room.id)?.seq ?? 0) > room.seq) continue;
        this.rooms.set(room.id, { ...room, unread: this.isOpen(room.id) ? 0 : room.unread });
        if (!this.ends.has(room.id)) this.ends.set(room.id, this.listen(room));
      }
      for (const id of gone) this.forget(id);
      this.changed();
    }).finally(() => (this.looking = null));
    return this.looking;
  }

  /** Conversations, where something was said last first. */
  list(): Room[] {
    return [...this.rooms.values()].sort((a, b) => b.last_ms - a.last_ms);
  }

  watch(tell: () => void, until?: AbortSignal): void {
    this.watchers.add(tell);
    until?.addEventListener('abort', () => this.watchers.delete(tell), { once: true });
  }

  unread(): number {
    return this.list().reduce((sum, { unread }) => sum + unread, 0);
  }

  /** Everything of a conversation was read here. */
  wasRead(id: string, seq: number): void {
    const room = this.rooms.get(id);
    if (!room) return;
    room.read = Math.max(room.read, seq);
    if (room.unread > 0) {
      room.unread = 0;
      this.changed();
    }
  }

  /** A token for the conversations, one for many questions. */
  token(): Promise<string> {
    const now = Date.now();
    if (!this.minted || now - this.minted.at > FRESH) this.minted = { at: now, token: token() };
    return this.minted.token;
  }

  /** A conversation that was not there when the token was minted. */
  fresh(): void {
    this.minted = null;
  }

  forget(id: string): void {
    this.ends.get(id)?.();
    this.ends.delete(id);
    this.rooms.delete(id);
  }

  isOpen(id: string): boolean {
    return this.opened === id && document.visibilityState === 'visible';
  }

  private changed(): void {
    for (const tell of this.watchers) tell();
  }

  private listen({ id, seq }: Room): () => void {
    this.fresh();
    const missed = () => void this.look().catch(() => undefined);
    return live.listen(`chat:${id}`, { after: seq, token: () => this.token(), hear: (frame) => this.hear(id, frame), missed });
  }

  private hear(id: string, { seq, at_ms, data }: Frame): void {
    const room = this.rooms.get(id);
    const what = data as Partial<Happening> | null;
    if (!room || !what || seq <= room.seq) return;
    room.seq = seq;
    if (what.type === 'message') {
      room.last = { ...(what as Message), seq };
      room.last_ms = at_ms;
      if (what.from !== this.mine.account) {
        if (!this.isOpen(id)) {
          room.unread += 1;
          // It is here, and nobody has seen it yet.
          void cursor(id, seq, 0).catch(() => undefined);
        }
      }
    } else if (room.last && what.id === room.last.id && (what.type === 'edit' || what.type === 'delete')) {
      room.last = { ...room.last, text: what.text ?? '', ...(what.type === 'delete' ? { deleted_ms: at_ms } : {}) };
    } else if (what.type === 'receipt' && what.account === this.mine.account && (what.read ?? 0) >= (room.last?.seq ?? 0)) {
      room.unread = 0;
    } else if (what.type === 'member' && what.account === this.mine.account && (what.change === 'left' || what.change === 'removed')) {
      this.forget(id);
    }
    this.changed();
  }
}
