// What of an order was sent: each parcel with its way, drawn anew as it goes on.
import { el, say } from '../dom';
import { counted, day, hour } from '../format';
import type { Order } from './api';
import { lineName, type Known } from './known';
import { moved, parcelWords, WAY, type Parcel } from './parcels';

export interface ParcelList {
  root: HTMLElement;
  show: (parcels: Parcel[]) => void;
}

/** The parcels of an order, of what is `known`; nothing as long as there is none. */
export function parcelList({ lines = [] }: Order, known: Map<string, Known>): ParcelList {
  const titles = new Map(lines.map((line) => [line.variant, lineName(known, line)]));
  const list = el('ul', { class: 'parcels', 'data-testid': 'parcels' });
  const section = el('section', { class: 'order-parcels', 'aria-label': 'Parcels', hidden: true }, el('h2', {}, 'Parcels'), list);
  const told = el('p', { class: 'hidden', role: 'status', 'data-testid': 'parcel-told' });
  let shown: Parcel[] | null = null;
  const show = (parcels: Parcel[]) => {
    const news = moved(parcels, shown ?? []);
    if (shown && news.length === 0) return;
    // Aloud is said what has moved, and not all that is drawn anew; what was there with the page is read with it.
    if (shown) say(told, news.map(({ state, carrier, code }) => `${carrier} ${code}: ${parcelWords(state).word}`).join('. '));
    shown = parcels;
    section.hidden = parcels.length === 0;
    list.replaceChildren(...parcels.map((parcel) => entry(parcel, titles)));
  };
  return { root: el('div', {}, section, told), show };
}

function entry({ state, carrier, code, lines, moves }: Parcel, titles: Map<string, string>): HTMLElement {
  const { word, mood } = parcelWords(state);
  const goods = lines.map(({ variant, quantity }) => `${quantity} × ${titles.get(variant) ?? variant}`).join(', ');
  const units = lines.reduce((sum, { quantity }) => sum + quantity, 0);
  return el(
    'li',
    { 'data-testid': 'parcel', 'data-state': state },
    el('p', { class: 'row' }, el('span', { class: `badge mood-${mood}`, 'data-testid': 'parcel-state' }, word), el('strong', {}, carrier), el('span', { class: 'number' }, code), el('span', { class: 'dim push' }, counted(units, 'unit'))),
    way(state, moves),
    el('p', { class: 'dim' }, goods),
  );
}

/** Where it has been and when, and what is to come where it did not come back. */
function way(state: string, moves: Parcel['moves']): HTMLElement {
  const to: string[] = state === 'returned' ? moves.map((move) => move.state) : [...WAY];
  const steps = to.map((step) => {
    const move = moves.find((one) => one.state === step);
    const reached = Boolean(move);
    const now = step === state && state !== 'delivered';
    return el(
      'li',
      { class: now ? 'now' : reached ? 'done' : '', ...(step === state ? { 'aria-current': 'step' } : {}) },
      el('span', {}, parcelWords(step).word, move ? el('time', { class: 'dim block', datetime: new Date(move.at_ms).toISOString() }, `${day(move.at_ms, Date.now())}, ${hour(move.at_ms)}`) : null),
    );
  });
  return el('ol', { class: 'steps' }, ...steps);
}
