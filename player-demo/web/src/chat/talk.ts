// The conversation that is open: its log, which follows what happens and grows backwards, and what is said in it.
import { button, el, say } from '../dom';
import { live, type Frame } from '../live';
import { backOff } from '../pauses';
import { go } from '../views';
import { cursor, edit, events, hasReceipts, history, members as membersOf, PAGE, react, remove, type Happening, type Member, type Message, type Room } from './api';
import { composer, type Composer } from './composer';
import { receive } from './files';
import type { Hub } from './hub';
import { line, type Acts } from './line';
import { Log } from './log';
import { outbox, type Outbox, type Sent } from './outbox';
import { typing, Typists, type Typing } from './presence';
import { roomHead, type Head } from './room-head';
import { Story, type Entry } from './story';
import { far } from './ticks';
import { waiting } from './waiting';

/** Messages that are there before anybody scrolls. */
const FILL = 30;
/** Messages and notes that are kept while the newest are in sight, and how many more there may be meanwhile. */
const KEEP = { lines: 600, more: 100 } as const;
/** Milliseconds after which one looks how far a message has come that was just sent, and between two looks: how far it is delivered is
 * told, but an aside that is missed comes no more. */
const RECEIPTS = { soon: 1500, often: 20_000 } as const;
/** Pages that are gone back for one that was searched. */
const BACK = 100;
/** Pages of members that are asked for where each of them has receipts: a group has no more. */
const CROWD = 10;
/** Milliseconds before what was missed is asked for again, and at most. */
const AGAIN = [1000, 30_000] as const;
/** Milliseconds in which changes of who is in it are looked at together. */
const MEMBERS = 250;

/** True where the focus is at nothing that somebody chose. */
const isNowhere = (): boolean => [null, document.body, document.querySelector('#main')].includes(document.activeElement as HTMLElement | null);

export class Talk {
  readonly root: HTMLElement;
  private readonly story = new Story();
  private readonly log: Log;
  private readonly head: Head;
  private readonly say: Composer;
  private members: Member[] = [];
  /** How many are in it, where those are not all. */
  private many: number | undefined;
  private typing: string[] = [];
  private readonly typists: Typists;
  private readonly mine: Typing;
  private readonly outbox: Outbox;
  private readonly newAfter: number;
  private fetching: Promise<void> | null = null;
  /** How often in a row it failed, and what tries again. */
  private failed = 0;
  private retry = 0;
  private older: Promise<void> | null = null;
  private told = 0;
  private telling = false;
  private soon = 0;
  /** The message that was looked for. */
  private target = 0;
  private seeking = false;
  private readonly earlier: HTMLButtonElement;
  private readonly down: HTMLButtonElement;
  private readonly wrong = el('p', { class: 'why', role: 'alert' });

  constructor(private readonly hub: Hub, private readonly room: Room, private readonly online: () => Set<string>, private readonly until: AbortSignal) {
    this.newAfter = room.unread > 0 ? room.read : 0;
    this.outbox = outbox(room.id);
    this.head = roomHead(room, hub.mine.account, until, () => {
      hub.forget(room.id);
      go('/chat');
    });
    this.log = new Log('Messages');
    this.mine = typing(room.id);
    this.say = composer(room.id, (text, files) => this.send(text, files), () => this.mine.types(), () => this.editLast());
    this.earlier = button('Earlier messages', { class: 'quiet earlier', 'data-testid': 'earlier' }, () => this.loadOlder());
    this.down = button('↓ To the newest', { class: 'to-end', hidden: true }, () => this.log.toEnd());
    this.root = el('section', { class: 'panel talk', 'aria-label': 'Conversation' }, this.head.root, el('div', { class: 'said-place' }, this.log.root, this.down), this.wrong, this.say.root);
    this.typists = new Typists(room.id, () => this.others().map(({ account }) => account), (now) => {
      this.typing = now.filter((account) => account !== hub.mine.account);
      this.showHead();
    }, until);
    receive(this.root, (files, folder) => this.say.attach(files, folder));
    this.log.root.addEventListener('scroll', () => this.scrolled());
    document.addEventListener('visibilitychange', () => this.read(), { signal: until });
    this.outbox.watch((sent) => this.sent(sent), until);
  }

  /** Loads what was said last, or back to what is looked for, and follows from there on. */
  async open(target?: number): Promise<void> {
    const { room, until } = this;
    await this.load(Math.max(0, Math.floor((room.seq - 1) / PAGE)));
    for (let n = 0; n < 3 && this.story.first > 1 && this.story.entries().length < FILL; n += 1) await this.loadOlder();
    if (until.aborted) return;
    const missed = () => this.again();
    live.listen(`chat:${room.id}`, { until, after: this.story.last, token: () => this.hub.token(room.id), hear: (frame) => this.hear(frame), aside: (said) => this.aside(said), missed });
    const timer = window.setInterval(() => void this.look(), RECEIPTS.often);
    until.addEventListener('abort', () => clearInterval(timer), { once: true });
    await Promise.all([this.catchUp(), this.look()]);
    if (until.aborted) return;
    this.typists.begin();
    this.log.stay();
    this.read();
    if (target) await this.seek(target);
    else if (isNowhere() && matchMedia('(pointer: fine)').matches) this.say.focus();
  }

  showHead(): void {
    this.head.show(this.members, this.many ?? this.members.length, this.online(), this.typing);
  }

  /** Who is in it. */
  accounts(): string[] {
    return this.members.map(({ account }) => account);
  }

  private others(): Member[] {
    return this.members.filter(({ account }) => account !== this.hub.mine.account);
  }

  private async load(page: number): Promise<void> {
    const all = await history(this.room.id, page);
    for (const one of all) this.take(one);
    this.story.reaches(page * PAGE + 1, all.at(-1)?.seq ?? 0);
    this.draw();
  }

  /** Older messages, one page at a time. */
  private loadOlder(): Promise<void> {
    if (this.story.first <= 1) return Promise.resolve();
    this.older ??= this.load(Math.floor((this.story.first - 2) / PAGE)).finally(() => (this.older = null));
    return this.older;
  }

  private async seek(seq: number): Promise<void> {
    this.seeking = true;
    try {
      for (let n = 0; n < BACK && this.story.first > seq; n += 1) await this.loadOlder();
    } finally {
      this.seeking = false;
    }
    const id = this.story.entries().find((entry) => entry.seq === seq)?.message?.id;
    this.target = seq;
    this.draw();
    if (id) this.log.root.querySelector(`[data-id="${CSS.escape(id)}"]`)?.scrollIntoView({ block: 'center' });
  }

  /** Everything after the last change that is known. What fails is tried again for as long as it is shown. */
  private catchUp(): Promise<void> {
    clearTimeout(this.retry);
    this.fetching ??= (async () => {
      for (let more = true; more && !this.until.aborted; ) {
        const page = await events(this.room.id, this.story.last);
        for (const one of page.events) this.take(one);
        if (page.events.some(({ type }) => type === 'member')) this.lookSoon();
        this.story.reaches(this.story.last, page.last);
        ({ more } = page);
      }
      this.failed = 0;
      say(this.wrong, '');
      this.letGo();
      this.draw();
      this.read();
    })().catch((error: Error) => {
      say(this.wrong, error.message);
      this.retry = window.setTimeout(() => !this.until.aborted && void this.catchUp(), backOff(this.failed, AGAIN));
      this.failed += 1;
    }).finally(() => (this.fetching = null));
    return this.fetching;
  }

  /** Once more, after what is being fetched: that may be older. */
  private again(): void {
    void (this.fetching ?? Promise.resolve()).then(() => this.catchUp());
  }

  private hear({ seq, at_ms, data }: Frame): void {
    if (seq <= this.story.last) return;
    if (data?.type === 'message') this.typists.stops(String(data.from));
    if (seq !== this.story.last + 1 || !data || this.fetching) return this.again();
    this.take({ at_ms, ...(data as unknown as Happening), seq });
    if (data.type === 'member') this.lookSoon();
    this.letGo();
    this.draw();
    this.read();
  }

  /** Takes what is true for a moment: who types, and how far the others have it. */
  private aside(said: Record<string, unknown>): void {
    const delivered = said.delivered as { account: string; seq: number }[] | undefined;
    if (!delivered) return this.typists.hear(said);
    for (const { account, seq } of delivered) this.story.receipt(account, seq, 0);
    this.draw();
  }

  /** Lets go of what is old while the newest is in sight: whoever scrolls up has it loaded again. */
  private letGo(): void {
    if (this.older || this.seeking || !this.log.atEnd() || this.story.entries().length <= KEEP.lines + KEEP.more) return;
    this.story.keepLast(KEEP.lines);
  }

  private take(one: Happening): void {
    if (!this.story.take(one)) return;
    if (one.type === 'message' && one.from === this.hub.mine.account) this.outbox.settle(({ client }) => client === one.client_id);
  }

  /** Somebody came or went just now: who is in it is asked for once for all who do at the time. */
  private lookSoon(): void {
    this.soon ||= window.setTimeout(() => {
      this.soon = 0;
      if (!this.until.aborted) void this.look();
    }, MEMBERS);
  }

  /** Who is in it, and how far each has read: of channels, which have no receipts, some of them. */
  private async look(): Promise<void> {
    const found = await membersOf(this.room.id, hasReceipts(this.room) ? CROWD : 1).catch(() => null);
    if (!found || this.until.aborted) return;
    this.members = found.members;
    this.many = found.next === null ? undefined : this.room.members;
    for (const { account, delivered, read } of found.members) this.story.receipt(account, delivered, read);
    this.showHead();
    this.draw();
  }

  private send(text: string, files: readonly File[]): boolean {
    const taken = this.outbox.add(text, files);
    if (taken) {
      this.mine.sends();
      this.log.toEnd();
    }
    return taken;
  }

  /** Something of the outbox changed, or was acknowledged. What comes before the history is there comes with it. */
  private sent(sent?: Sent): void {
    if (sent && this.story.last > 0) {
      if (sent.seq === this.story.last + 1) this.take({ ...sent, type: 'message' });
      else if (sent.seq > this.story.last) this.again();
      window.setTimeout(() => !this.until.aborted && void this.look(), RECEIPTS.soon);
    }
    this.draw();
  }

  private editLast(): void {
    const last = [...this.story.entries()].reverse().find(({ message }) => message?.from === this.hub.mine.account && message.deleted_ms === undefined);
    if (last?.message) this.edit(last.message);
  }

  private edit(message: Message): void {
    this.say.edit(message.text, (text) => edit(this.room.id, message.id, text));
  }

  private scrolled(): void {
    this.down.hidden = this.log.atEnd();
    if (this.log.root.scrollTop < 160) void this.loadOlder().catch(() => undefined);
    this.read();
  }

  /** Tells that the newest message was read: where it is in sight, and the page too. */
  private read(): void {
    if (document.visibilityState !== 'visible' || this.until.aborted || !this.log.atEnd()) return;
    const last = [...this.story.entries()].reverse().find(({ message }) => message)?.seq ?? 0;
    if (last <= this.told || this.telling) return;
    this.telling = true;
    this.hub.wasRead(this.room.id, last);
    cursor(this.room.id, last, last).then(() => (this.told = last), () => undefined).finally(() => {
      this.telling = false;
      if (this.told >= last) this.read();
    });
  }

  private draw(): void {
    const { story, hub } = this;
    if (this.until.aborted) return;
    const me = hub.mine.account;
    const receipts = this.others().map(({ account }) => story.receipts.get(account) ?? { delivered: 0, read: 0 });
    const found = (entry: Entry) => entry.seq === this.target;
    const shown = (entry: Entry, head: boolean) => {
      const { seq, message } = entry;
      const own = message?.from === me;
      const { tick, words } = own ? far(this.room, seq, receipts) : { tick: null, words: '' };
      return { own, named: !own && this.room.kind !== 'direct', head, tick, far: words, found: found(entry), reactions: message ? story.reactionsOf(message.id) : [], me, mayDelete: own || this.room.role === 'owner' };
    };
    const key = (entry: Entry, head: boolean) => (entry.note !== undefined ? entry.note : JSON.stringify([entry.message?.text, entry.message?.edited_ms !== undefined, entry.message?.deleted_ms !== undefined, shown(entry, head)]));
    const make = (entry: Entry, head: boolean, was?: HTMLElement) => (entry.message ? line(entry.message, shown(entry, head), this.acts(entry.message), was) : el('p', { class: 'note' }, entry.note ?? ''));
    this.log.draw(story.entries(), this.newAfter, { key, make }, story.first > 1 ? [this.earlier] : [], this.tail());
    this.down.hidden = this.log.atEnd();
  }

  private acts({ id }: Message): Acts {
    const room = this.room.id;
    return {
      react: (emoji, on) => react(room, id, emoji, on),
      edit: () => {
        const message = this.story.find(id)?.message;
        if (message) this.edit(message);
      },
      remove: () => remove(room, id),
      nameOf: (account) => this.story.nameOf(account),
    };
  }

  /** Lines of what is on its way. What is acknowledged is in the story, or above what is loaded of it, once that has come so far. */
  private tail(): HTMLElement[] {
    this.outbox.settle(({ seq }) => seq !== undefined && seq <= this.story.last);
    return this.outbox.list().map((one) => waiting(one, this.outbox, () => this.say.focus()));
  }
}
