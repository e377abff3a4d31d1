// Where somebody waits in line: the place in it, said as it changes, and a way out.
import { el, say } from '../dom';
import { counted } from '../format';
import { Unheard } from '../session';
import { place, standing, ticket, type Line, type Order } from './api';
import { Left, roomOf, through, type Doors, type Told } from './line';
import { Tickets } from './tickets';

/** Until an edge that was asked to wait is not waited for any more, in milliseconds: it answers after ten seconds. */
const ANSWER = 15_000;

const doors: Doors = {
  take: (room) => ticket(room, AbortSignal.timeout(ANSWER)),
  look: (room, of, wait, until) => standing(room, of, wait, AbortSignal.any([until, AbortSignal.timeout(ANSWER)])),
  pause: (ms, until) =>
    new Promise((done) => {
      if (ms <= 0 || until.aborted) return done();
      const timer = window.setTimeout(done, ms);
      until.addEventListener('abort', () => (clearTimeout(timer), done()), { once: true });
    }),
};

export interface Queue {
  root: HTMLElement;
  /** Orders, in line where a room is open; null where somebody left it. Lines and key are those of the moment. */
  order: (lines: () => Line[], key: () => string) => Promise<Order | null>;
  /** The key of the order that was waited for when this page was left. */
  kept: (lines: Line[]) => string | undefined;
  /** Other lines are wanted than those that are waited for: nobody waits for what is not wanted any more. */
  changed: (lines: Line[]) => void;
}

export function queue(until: AbortSignal): Queue {
  const where = el('p', { class: 'price', 'aria-live': 'polite', 'data-testid': 'queue-place' });
  const out = el('button', { type: 'button', class: 'quiet', 'data-testid': 'queue-leave' }, 'Leave the line');
  const root = el(
    'section',
    { class: 'queue', 'aria-label': 'Waiting in line', 'data-testid': 'queue', hidden: true },
    el('h2', {}, 'You are in line'),
    where,
    el('p', { class: 'dim' }, 'Many want this at once. Your order is made by itself when it is your turn. Stay on this page, also if you load it anew: who is away is passed over.'),
    out,
  );
  const tickets = new Tickets(sessionStorage);
  const at = location.pathname;
  let leaving: AbortController | null = null;
  out.addEventListener('click', () => leaving?.abort());
  const only = (lines: Line[]) => {
    for (const [room] of tickets.all()) if (!lines.some(({ variant }) => roomOf(variant) === room)) tickets.drop(room);
  };
  const order: Queue['order'] = async (lines, key) => {
    const left = new AbortController();
    leaving = left;
    only(lines());
    const tell = (told: Told) => {
      root.hidden = false;
      tickets.wish({ at, of: written(lines()), key: key() });
      say(where, inWords(told));
    };
    const send = (admissions: string[]) => place({ lines: sorted(lines()) }, key(), admissions);
    const rooms = () => lines().map(({ variant }) => roomOf(variant));
    let unheard = false;
    try {
      return await through(send, { tickets, doors, rooms, tell, until: AbortSignal.any([until, left.signal]) });
    } catch (error) {
      // No answer came: it may be ordered, and is asked for again as the same, also by a page that is loaded anew.
      unheard = error instanceof Unheard;
      if (!(error instanceof Left)) throw error;
      if (left.signal.aborted) tickets.clear();
      return null;
    } finally {
      leaving = null;
      root.hidden = true;
      say(where, '');
      // Who goes to another page and comes back is in line still.
      if (!until.aborted && !unheard) tickets.wish();
    }
  };
  const changed = (lines: Line[]) => {
    if (!leaving) return;
    if (lines.length === 0) leaving.abort();
    else only(lines);
  };
  return { root, order, changed, kept: (lines) => tickets.wished(at, written(lines)) };
}

/** In one order: the shop takes what is sent again under a key for the same only as it was. */
const sorted = (lines: Line[]): Line[] => lines.map(({ variant, quantity }) => ({ variant, quantity })).sort((one, other) => (one.variant < other.variant ? -1 : 1));

const written = (lines: Line[]): string => JSON.stringify(sorted(lines));

function inWords(told: Told): string {
  if (told.at === 'joins') return 'Getting in line …';
  if (told.at === 'sold-out') return 'Sold out for now. What others do not pay comes back, and you keep your place.';
  if (told.at === 'unheard') return 'No answer at the moment. You keep your place.';
  return told.place === 0 ? 'You are next.' : `${counted(told.place, 'person is', 'people are')} before you.`;
}
