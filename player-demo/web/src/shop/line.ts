// The line in front of a waiting room (docs/shop.md): whoever orders what a room guards takes a ticket, waits until it is let in, and
// orders with the admission. Edges hold the line; nothing here knows of the page.
import { Refused } from '../session';
import type { Tickets } from './tickets';

export interface Waiting {
  state: 'waiting';
  /** So many are before it. */
  place: number;
  retry_ms: number;
}

/** Where a ticket is. */
export type Standing = Waiting | { state: 'admitted'; admission: string };

/** What edges answer at the door of a room. */
export interface Doors {
  take: (room: string) => Promise<{ ticket: string }>;
  /** Answers as soon as something becomes of the ticket, or after so many seconds. */
  look: (room: string, ticket: string, wait: number, until: AbortSignal) => Promise<Standing>;
  pause: (ms: number, until: AbortSignal) => Promise<void>;
}

/** What whoever waits is told: how many are before them, that there is nothing at the moment, that nobody answers. */
export type Told = { at: 'joins' } | { at: 'waits'; place: number } | { at: 'sold-out' } | { at: 'unheard' };

/** Somebody in line, until `until`. */
export interface InLine {
  tickets: Tickets;
  doors: Doors;
  /** The rooms that may be in front of what is ordered. */
  rooms: () => string[];
  tell: (told: Told) => void;
  until: AbortSignal;
}

/** The line was left. */
export class Left extends Error {}

/** Times that an order is sent, and that another ticket is taken for one that is not good. */
const TRIES = 8;
/** Seconds that an edge is asked to wait with its answer. */
const WAIT = 10;
/** Milliseconds between two questions of an edge that has nothing, or gives no answer. */
const AGAIN = { soldOut: 5000, unheard: 2000 } as const;

export const SOLD_OUT = 'Sold out. What others do not pay in time comes back: look again in a while.';
export const FULL = 'So many wait already that nobody else can get in line. Try again in a moment.';
const CLOSED = 'Nobody can get in line at the moment. Try again in a moment.';

/** The room in front of a variant. */
export const roomOf = (variant: string): string => `shop.${variant}`;

/** The room that a refusal names, if it does. */
export const roomIn = (words: string): string | undefined => /\/v1\/rooms\/([\w.-]+)\/tickets/.exec(words)?.[1];

/** Sends an order, waiting in line for as long as that needs an admission. */
export async function through<T>(send: (admissions: string[]) => Promise<T>, line: InLine): Promise<T> {
  for (let n = 0; n < TRIES; n += 1) {
    try {
      const made = await send(line.tickets.admissions());
      line.tickets.clear();
      return made;
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      await turnedAway(error, line);
    }
    await letIn(line);
  }
  throw new Error(CLOSED);
}

/** Gets in line where an order was refused for want of an admission; what was refused for anything else is thrown again. */
async function turnedAway(why: Refused, line: InLine): Promise<void> {
  const { tickets } = line;
  const held = tickets.all();
  if (!why.kind.startsWith('admission-')) throw why;
  line.tell({ at: 'joins' });
  if (why.kind === 'admission-needed') {
    const named = roomIn(why.message);
    for (const room of new Set([...(named ? [named] : []), ...line.rooms()])) if (!tickets.has(room)) await join(room, line, room === named);
  } else if (why.kind === 'admission-expired') {
    // Its ticket has its place still.
    for (const [room, { ticket }] of held) tickets.put(room, { ticket });
  } else {
    // Used before, or of another opening of the room.
    for (const [room] of held) tickets.drop(room);
    for (const [room] of held) await join(room, line);
  }
  if (tickets.all().length === 0) throw why;
}

/** Takes a ticket to a room, if it is open. Of one that is said to be, the edge is to hear yet where it knows nothing. */
async function join(room: string, { tickets, doors, until }: InLine, open = false): Promise<void> {
  for (let n = 0; n < TRIES; n += 1) {
    if (until.aborted) throw new Left();
    try {
      const { ticket } = await doors.take(room);
      return tickets.put(room, { ticket });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (error.kind === 'no-room' && !open) return;
      if (error.kind === 'sold-out') throw new Error(SOLD_OUT);
      if (error.kind === 'room-full') throw new Error(FULL);
      if (error.kind !== 'room-unknown' && error.kind !== 'no-room') throw error;
    }
    await doors.pause(AGAIN.unheard, until);
  }
  throw new Error(CLOSED);
}

/** Waits until every ticket is let in at once: an admission whose time went by meanwhile is one in line again. */
async function letIn(line: InLine): Promise<void> {
  const { tickets, doors, until, tell } = line;
  // At first one wants to know where one is.
  let wait = 0;
  for (let anew = 0; anew < TRIES; ) {
    if (until.aborted) throw new Left();
    const begun = Date.now();
    const found = await Promise.all(tickets.all().map(async ([room, { ticket }]) => [room, ticket, await standing(room, ticket, wait, line)] as const));
    // While the edges thought about it, somebody may have thought otherwise.
    if (until.aborted) throw new Left();
    const now = found.filter(([room]) => tickets.has(room));
    for (const [room, ticket, at] of now) {
      if (at === 'closed' || at === 'another') tickets.drop(room);
      else if (typeof at === 'object') tickets.put(room, at.state === 'admitted' ? { ticket, admission: at.admission } : { ticket });
      if (at === 'another') await join(room, line);
    }
    if (now.some(([, , at]) => at === 'another')) {
      anew += 1;
      continue;
    }
    const waits = now.map(([, , at]) => at).filter((at) => at !== 'closed' && !(typeof at === 'object' && at.state === 'admitted'));
    if (waits.length === 0) return;
    wait = WAIT;
    await doors.pause(said(waits, tell) - (Date.now() - begun), until);
  }
  throw new Error(CLOSED);
}

type At = Standing | 'closed' | 'another' | 'sold-out' | 'unheard';

/** Tells what is waited for, and gives the milliseconds from one question to the next. */
function said(waits: At[], tell: (told: Told) => void): number {
  const in_line = waits.filter((at): at is Waiting => typeof at === 'object' && at.state === 'waiting');
  if (waits.includes('sold-out')) tell({ at: 'sold-out' });
  else if (waits.includes('unheard')) tell({ at: 'unheard' });
  else tell({ at: 'waits', place: Math.max(...in_line.map(({ place }) => place)) });
  if (waits.includes('sold-out')) return AGAIN.soldOut;
  return waits.includes('unheard') ? AGAIN.unheard : Math.max(...in_line.map(({ retry_ms }) => retry_ms));
}

async function standing(room: string, ticket: string, wait: number, { doors, until }: InLine): Promise<At> {
  try {
    return await doors.look(room, ticket, wait, until);
  } catch (error) {
    if (!(error instanceof Refused)) return 'unheard';
    if (error.kind === 'no-room') return 'closed';
    if (error.kind === 'sold-out') return 'sold-out';
    return error.status === 404 || error.status === 410 ? 'another' : 'unheard';
  }
}
