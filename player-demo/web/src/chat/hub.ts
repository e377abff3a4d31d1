// All conversations of the account at once: what happens in any of them moves the list, and is told to the one that is open. Which
// they are is told on the account's own channel.
import { live, type Frame } from '../live';
import { Refused, type Me } from '../session';
import { cursor, hasReceipts, members, readTo, rooms, show, token, type Happening, type Message, type Room } from './api';

/** Milliseconds for which a token is shown again: it is good for longer. */
const FRESH = 60_000;
/** Conversations at most that are asked for one by one because a list left them out. */
const DOUBTED = 20;

/** True where there is no such conversation for this account, and not merely trouble. */
const isOutside = (error: unknown): boolean => error instanceof Refused && [403, 404, 410].includes(error.status);

/** Those of the known conversations that a page should have had and did not: they may have been left. What is older than a page stands on another. Pure. */
export function doubted(known: Iterable<Room>, page: Room[], next: string | null): string[] {
  const listed = new Set(page.map(({ id }) => id));
  const oldest = next === null ? -Infinity : Math.min(...page.map(({ last_ms }) => last_ms));
  return [...known].filter(({ id, last_ms }) => !listed.has(id) && last_ms > oldest).map(({ id }) => id);
}

export class Hub {
  readonly rooms = new Map<string, Room>();
  /** The conversation that is on the screen. */
  opened = '';
  /** How far each conversation was told to have come here. */
  private readonly told = new Map<string, number>();
  private readonly ends = new Map<string, () => void>();
  private readonly watchers = new Set<() => void>();
  private minted: { at: number; told: ReturnType<typeof token> } | null = null;
  private looking: Promise<void> | null = null;
  /** Where the list goes on; null once it was read to its end. */
  private next: string | null | undefined;

  constructor(readonly mine: Me) {}

  /** Reads the list, and follows it: what happens after its number was told is heard. */
  async begin(): Promise<void> {
    const { own } = await this.mint();
    const missed = () => this.again();
    const end = live.listen(own.channel, {
      after: own.seq,
      token: () => this.token(),
      hear: ({ data }) => {
        if (data?.type === 'out') this.left(String(data.conversation));
        else if (data?.type === 'in' && !this.rooms.has(String(data.conversation))) missed();
      },
      aside: ({ unread }) => this.count((unread ?? []) as { conversation: string; count: number }[]),
      missed,
    });
    await this.look().catch((error: unknown) => {
      end();
      throw error;
    });
  }

  /** Reads the newest of the list, and listens to what is in it. */
  look(): Promise<void> {
    this.looking ??= rooms().then(async ({ conversations, next }) => {
      if (this.next === undefined) this.next = next;
      const away = doubted(this.rooms.values(), conversations, next);
      const listed = new Set(conversations.map(({ id }) => id));
      // What is no longer among the newest is not listened to; what is said there brings it back.
      for (const id of [...this.ends.keys()]) if (!listed.has(id) && id !== this.opened) this.deafen(id);
      for (const room of conversations) {
        this.take(room);
        this.follow(room);
      }
      this.changed();
      void this.came(conversations);
      await this.check(away.slice(0, DOUBTED));
    }).finally(() => (this.looking = null));
    return this.looking;
  }

  /** Reads on in the list. What is this old is not listened to: what is said there brings it among the newest. */
  async more(): Promise<void> {
    if (!this.next) return;
    const { conversations, next } = await rooms(this.next);
    this.next = next;
    for (const room of conversations) this.take(room);
    this.changed();
    void this.came(conversations);
  }

  hasMore(): boolean {
    return Boolean(this.next);
  }

  /** A conversation, also one that the list has not come to; null where there is none, or one is not in it. */
  async find(id: string): Promise<Room | null> {
    const known = this.rooms.get(id);
    if (known) return known;
    try {
      const [{ created_ms, ...shown }, read] = await Promise.all([show(id), readTo(id)]);
      const other = shown.kind === 'direct' ? (await members(id)).members.find(({ account }) => account !== this.mine.account) : undefined;
      const room: Room = { ...shown, read, unread: 0, last_ms: created_ms, ...(other ? { with: { account: other.account, name: other.name } } : {}) };
      // The list may have come to it meanwhile.
      if (!this.rooms.has(id)) this.take(room);
    } catch (error) {
      if (isOutside(error)) return null;
      throw error;
    }
    const found = this.rooms.get(id)!;
    this.follow(found);
    this.changed();
    return found;
  }

  /** Tells of what a list holds as unread, one after another. */
  private async came(listed: Room[]): Promise<void> {
    for (const room of listed) if (room.unread > 0 && !this.isOpen(room.id)) await this.tell(room, room.last?.seq ?? room.seq);
  }

  /** Says once that messages are here, and nobody has seen them yet: where the others hear of it. */
  private async tell(room: Room, seq: number): Promise<void> {
    const { id } = room;
    if (!hasReceipts(room) || seq <= (this.told.get(id) ?? 0)) return;
    this.told.set(id, seq);
    await cursor(id, seq, 0).catch(() => {
      // The next list that holds it tells it.
      if (this.told.get(id) === seq) this.told.delete(id);
    });
  }

  private take(room: Room): void {
    // What was heard meanwhile is newer than the list.
    if ((this.rooms.get(room.id)?.seq ?? 0) > room.seq) return;
    this.rooms.set(room.id, { ...room, unread: this.isOpen(room.id) ? 0 : room.unread });
  }

  /** Forgets those of some conversations that this account is not in any more. */
  private async check(ids: string[]): Promise<void> {
    const out = await Promise.all(ids.map((id) => show(id).then(() => false, isOutside)));
    ids.forEach((id, n) => out[n] && this.left(id));
  }

  /** Reads it once more: what is being read now may be older. */
  private again(): void {
    void (this.looking ?? Promise.resolve()).catch(() => undefined).then(() => this.look()).catch(() => undefined);
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

  /** A token for the newest conversations, one for many questions; for an older one, its own. */
  async token(id?: string): Promise<string> {
    const shared = await this.mint();
    return id === undefined || shared.channels.includes(`chat:${id}`) ? shared.token : (await token([id])).token;
  }

  private mint(): ReturnType<typeof token> {
    const now = Date.now();
    if (!this.minted || now - this.minted.at > FRESH) {
      const told = token();
      this.minted = { at: now, told };
      told.catch(() => this.fresh());
    }
    return this.minted.told;
  }

  /** A conversation that was not there when the token was minted. */
  fresh(): void {
    this.minted = null;
  }

  forget(id: string): void {
    this.deafen(id);
    this.rooms.delete(id);
  }

  private deafen(id: string): void {
    this.ends.get(id)?.();
    this.ends.delete(id);
  }

  private follow(room: Room): void {
    if (!this.ends.has(room.id)) this.ends.set(room.id, this.listen(room));
  }

  private left(id: string): void {
    if (!this.rooms.has(id)) return;
    this.forget(id);
    this.changed();
  }

  /** What is unread, as the chat counts it. */
  private count(unread: { conversation: string; count: number }[]): void {
    let news = false;
    for (const { conversation, count } of unread) {
      const room = this.rooms.get(conversation);
      if (room && !this.isOpen(conversation)) room.unread = count;
      // Of what is not listened to this is the one word that something was said.
      if (count > 0 && !this.ends.has(conversation)) news = true;
    }
    this.changed();
    if (news) this.again();
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
    return live.listen(`chat:${id}`, { after: seq, token: () => this.token(id), hear: (frame) => this.hear(id, frame), missed });
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
          void this.tell(room, seq);
        }
      }
    } else if (room.last && what.id === room.last.id && (what.type === 'edit' || what.type === 'delete')) {
      room.last = { ...room.last, text: what.text ?? '', ...(what.type === 'delete' ? { deleted_ms: at_ms } : {}) };
    } else if (what.type === 'receipt' && what.account === this.mine.account && (what.read ?? 0) >= (room.last?.seq ?? 0)) {
      room.unread = 0;
    }
    this.changed();
  }
}
