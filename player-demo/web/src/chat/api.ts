// The interface of conversations (docs/chat.md), as the pages use it.
import { ask } from '../session';

export interface Message {
  id: string;
  client_id: string;
  from: string;
  name: string;
  text: string;
  attachments?: Attachment[];
  at_ms: number;
  edited_ms?: number;
  deleted_ms?: number;
}

export interface Attachment {
  name: string;
  type: string;
  bytes: number;
  path: string;
}

export interface Room {
  id: string;
  kind: 'direct' | 'group' | 'channel' | 'private';
  name: string;
  role: string;
  members: number;
  seq: number;
  read: number;
  unread: number;
  last_ms: number;
  with?: { account: string; name: string };
  last?: Message & { seq: number };
}

/** What happened: which fields there are depends on its type. */
export interface Happening extends Partial<Message> {
  seq: number;
  type: string;
  by?: string;
  emoji?: string;
  on?: boolean;
  account?: string;
  change?: string;
  read?: number;
  delivered?: number;
  role?: string;
  kind?: string;
  members?: { account: string; name: string }[] | undefined;
}

export interface Member {
  account: string;
  name: string;
  role: string;
  delivered: number;
  read: number;
}

export interface Hit {
  conversation: string;
  message: Message & { seq: number };
}

/** Events of a page of history, as the chat counts them. */
export const PAGE = 100;

const at = (room: string) => `/v1/chat/${encodeURIComponent(room)}`;

export const rooms = (after?: string): Promise<{ conversations: Room[]; next: string | null }> => ask(`/v1/chat?limit=100${after ? `&after=${after}` : ''}`);
export const show = (room: string): Promise<Omit<Room, 'with' | 'last' | 'read' | 'unread' | 'last_ms'> & { created_ms: number }> => ask(at(room));
/** How far this account has read, on any device. */
export const readTo = async (room: string): Promise<number> => (await ask<{ read: number }>(`${at(room)}/cursor`)).read;
/** How often a page is asked for whose content an edge could not have in time. */
const TRIES = 3;

export async function history(room: string, page: number): Promise<Happening[]> {
  for (let tried = 0; tried < TRIES; tried += 1) {
    const { content } = await ask<{ content?: { events: Happening[] } }>(`${at(room)}/history/${page}`);
    if (content) return content.events;
  }
  throw new Error('This page of the conversation cannot be had now.');
}
export const events = (room: string, after: number): Promise<{ events: Happening[]; last: number; more: boolean }> => ask(`${at(room)}/events?after=${after}&limit=500`);
/** A hundred of those who are in it, or as many more as pages say; `next` is null where that is all of them. */
export async function members(room: string, pages = 1): Promise<{ members: Member[]; next: string | null }> {
  const all: Member[] = [];
  let next: string | null = null;
  for (let n = 0; n === 0 || (next !== null && n < pages); n += 1) {
    const page: { members: Member[]; next: string | null } = await ask(`${at(room)}/members?limit=100${next ? `&after=${next}` : ''}`);
    all.push(...page.members);
    ({ next } = page);
  }
  return { members: all, next };
}
/** What lets one listen, to some conversations or to those where something was said last; and where one's own channel is, which tells of all. */
export const token = (conversations: string[] = []): Promise<{ token: string; channels: string[]; own: { channel: string; seq: number } }> => ask('/v1/chat/token', { method: 'POST', body: conversations.length > 0 ? { conversations } : {} });

export const make = (body: object, key: string): Promise<Pick<Room, 'id' | 'kind'>> => ask('/v1/chat', { method: 'POST', body, key });
export const channels = (): Promise<{ channels: { id: string; name: string; members: number }[] }> => ask('/v1/chat/channels?limit=50');
export const join = (room: string): Promise<unknown> => ask(`${at(room)}/join`, { method: 'POST' });
export const leave = (room: string): Promise<unknown> => ask(`${at(room)}/leave`, { method: 'POST' });
export const invite = (room: string, handle: string): Promise<unknown> => ask(`${at(room)}/members`, { method: 'POST', body: { account: `@${handle}` } });

/** Keeps a file until a message names it. */
export const keep = (room: string, file: File, key: string, signal: AbortSignal): Promise<Attachment> =>
  ask(`${at(room)}/files?${new URLSearchParams({ name: file.name }).toString()}`, { method: 'POST', body: file, key, signal });
export const send = (room: string, client_id: string, text: string, attachments: Attachment[], signal: AbortSignal): Promise<Message & { seq: number }> =>
  ask(`${at(room)}/messages`, { method: 'POST', body: { client_id, text, ...(attachments.length > 0 ? { attachments } : {}) }, signal });
export const edit = (room: string, message: string, text: string): Promise<unknown> => ask(`${at(room)}/messages/${message}`, { method: 'PUT', body: { text } });
export const remove = (room: string, message: string): Promise<unknown> => ask(`${at(room)}/messages/${message}`, { method: 'DELETE' });
export const react = (room: string, message: string, emoji: string, on: boolean): Promise<unknown> => ask(`${at(room)}/messages/${message}/reactions/${encodeURIComponent(emoji)}`, { method: on ? 'PUT' : 'DELETE' });
/** Says how far this account has it, and has read it. All browsers are one device: none keeps messages of its own. */
export const cursor = (room: string, delivered: number, read: number): Promise<unknown> => ask(`${at(room)}/cursor`, { method: 'PUT', body: { device: 'web', delivered, read } });

export const search = (q: string, after?: string): Promise<{ hits: Hit[]; next: string | null }> => ask(`/v1/chat/search?${new URLSearchParams({ q, ...(after ? { after } : {}) }).toString()}`);

export const here = (state: 'online' | 'typing' = 'online', conversation?: string): Promise<unknown> => ask('/v1/chat/presence', { method: 'PUT', body: { state, ...(conversation ? { conversation } : {}) } });
/** Who of some is here and types; `scope` is `process` where it is only known of those who speak to the origin that was asked. */
export const presence = (of: string[], room?: string): Promise<{ presence: { account: string; online: boolean; typing: boolean }[]; scope: 'fleet' | 'process' }> =>
  ask(`/v1/chat/presence?of=${of.slice(0, 100).join(',')}${room ? `&in=${room}` : ''}`);

/** What a conversation is called. */
export const title = (room: Pick<Room, 'with' | 'name'>): string => room.with?.name ?? (room.name || 'Conversation');

/** In direct conversations and groups everybody hears how far the others have read. */
export const hasReceipts = ({ kind }: Pick<Room, 'kind'>): boolean => kind === 'direct' || kind === 'group';
