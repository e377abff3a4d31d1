// What happened in a conversation, put together from its changes. Changes may come in any order and more than once: by page,
// older pages first or last, and as they happen. Pure.
import { PAGE, type Happening, type Message } from './api';

export interface Entry {
  seq: number;
  at_ms: number;
  /** A message, as it is now. */
  message?: Message;
  /** Something else that is told among the messages. */
  note?: string;
}

interface Told<T> {
  seq: number;
  value: T;
}

export class Story {
  /** The first and the last change that are known; everything between them is. */
  first = Infinity;
  last = 0;
  private readonly seen = new Set<number>();
  private readonly byId = new Map<string, Entry>();
  private readonly all: Entry[] = [];
  private readonly texts = new Map<string, Told<string>>();
  /** What was deleted, and when that was said. */
  private readonly gone = new Map<string, number>();
  /** Message, then emoji, then account: whether it is on, and when that was said. */
  private readonly reactions = new Map<string, Map<string, Map<string, Told<boolean>>>>();
  private readonly names = new Map<string, string>();
  /** How far the others are. */
  readonly receipts = new Map<string, { delivered: number; read: number }>();

  /** Takes a change; true when it was not known. */
  take(one: Happening): boolean {
    if (this.seen.has(one.seq)) return false;
    this.seen.add(one.seq);
    this.first = Math.min(this.first, one.seq);
    this.last = Math.max(this.last, one.seq);
    const { id } = one;
    if (one.type === 'message' && id) this.message(one as Happening & Message);
    else if (one.type === 'edit' && id) this.edited(id, one.seq, one.text ?? '');
    else if (one.type === 'delete' && id) this.deleted(id, one.seq);
    else if (one.type === 'reaction' && id) this.reacted(id, one);
    else if (one.type === 'receipt' && one.account) this.receipt(one.account, one.delivered ?? 0, one.read ?? 0);
    else if (one.type === 'made') this.made(one);
    else if (one.type === 'member') this.member(one);
    return true;
  }

  /** Everything up to a page's begin is known, also where its first changes are of others. */
  reaches(first: number, last: number): void {
    if (last === 0) return;
    this.first = Math.min(this.first, first);
    this.last = Math.max(this.last, last);
  }

  /** Keeps what happened last, so many messages and notes and no page in part; what is older can be taken again. */
  keepLast(count: number): void {
    const oldest = this.all.at(-count)?.seq ?? 0;
    const first = Math.floor((oldest - 1) / PAGE) * PAGE + 1;
    if (this.all.length <= count || first <= this.first) return;
    for (const { message } of this.all.splice(0, this.all.findIndex(({ seq }) => seq >= first))) if (message) this.byId.delete(message.id);
    for (const seq of this.seen) if (seq < first) this.seen.delete(seq);
    for (const [id, { seq }] of this.texts) if (seq < first) this.texts.delete(id);
    for (const [id, seq] of this.gone) if (seq < first) this.gone.delete(id);
    for (const [id, of] of this.reactions) {
      for (const [emoji, accounts] of of) {
        for (const [account, { seq }] of accounts) if (seq < first) accounts.delete(account);
        if (accounts.size === 0) of.delete(emoji);
      }
      if (of.size === 0) this.reactions.delete(id);
    }
    this.first = first;
  }

  receipt(account: string, delivered: number, read: number): void {
    const was = this.receipts.get(account) ?? { delivered: 0, read: 0 };
    this.receipts.set(account, { delivered: Math.max(was.delivered, delivered, read), read: Math.max(was.read, read) });
  }

  /** Messages and notes, in the order in which they happened. */
  entries(): readonly Entry[] {
    return this.all;
  }

  find(id: string): Entry | undefined {
    return this.byId.get(id);
  }

  /** Emoji of a message, with who put each there; the first that was used comes first. */
  reactionsOf(id: string): [string, string[]][] {
    const of = [...(this.reactions.get(id) ?? [])];
    const on = of.map(([emoji, accounts]): [string, string[]] => [emoji, [...accounts].filter(([, { value }]) => value).map(([account]) => account)]);
    return on.filter(([, accounts]) => accounts.length > 0);
  }

  /** What an account is called, as far as it was heard. */
  nameOf(account: string): string {
    return this.names.get(account) ?? 'somebody';
  }

  private insert(entry: Entry): void {
    let at = this.all.length;
    while (at > 0 && this.all[at - 1]!.seq > entry.seq) at -= 1;
    this.all.splice(at, 0, entry);
  }

  private message(one: Happening & Message): void {
    this.names.set(one.from, one.name);
    const told = this.texts.get(one.id);
    const message: Message = { ...one, ...(told ? { text: told.value, edited_ms: one.edited_ms ?? one.at_ms } : {}) };
    if (this.gone.has(one.id)) message.deleted_ms ??= one.at_ms;
    const entry = { seq: one.seq, at_ms: one.at_ms, message };
    this.byId.set(one.id, entry);
    this.insert(entry);
  }

  private edited(id: string, seq: number, text: string): void {
    const told = this.texts.get(id);
    if (told && told.seq > seq) return;
    const entry = this.byId.get(id);
    // What is read of a message says what it says now: an edit that is older than that is told again, and is the same or gone.
    this.texts.set(id, { seq, value: text });
    if (entry?.message && !entry.message.deleted_ms && seq > entry.seq) entry.message = { ...entry.message, text, edited_ms: entry.message.edited_ms ?? Date.now() };
  }

  private deleted(id: string, seq: number): void {
    this.gone.set(id, seq);
    const message = this.byId.get(id)?.message;
    if (message) Object.assign(message, { text: '', deleted_ms: message.deleted_ms ?? Date.now(), attachments: [] });
    this.reactions.delete(id);
  }

  private reacted(id: string, { seq, by = '', emoji = '', on = false, name }: Happening): void {
    if (this.gone.has(id)) return;
    if (name) this.names.set(by, name);
    const of = this.reactions.get(id) ?? new Map<string, Map<string, Told<boolean>>>();
    const accounts = of.get(emoji) ?? new Map<string, Told<boolean>>();
    const told = accounts.get(by);
    if (!told || told.seq < seq) accounts.set(by, { seq, value: on });
    this.reactions.set(id, of.set(emoji, accounts));
  }

  private made({ seq, at_ms = 0, by = '', kind, members = [], name }: Happening): void {
    for (const member of members) this.names.set(member.account, member.name);
    const what = kind === 'direct' ? 'The conversation begins here' : `${this.nameOf(by)} made “${name ?? ''}”`;
    this.insert({ seq, at_ms, note: what });
  }

  private member({ seq, at_ms = 0, by = '', change, account = '', name, role }: Happening): void {
    if (name) this.names.set(account, name);
    const who = this.nameOf(account);
    const words: Record<string, string> = {
      joined: by === account ? `${who} joined` : `${this.nameOf(by)} added ${who}`,
      left: `${who} left`,
      removed: `${this.nameOf(by)} took ${who} out`,
      role: `${who} is ${role === 'owner' ? 'an owner' : 'a member'} now`,
    };
    const note = words[change ?? ''];
    if (note) this.insert({ seq, at_ms, note });
  }
}
