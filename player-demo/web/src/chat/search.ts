// Looking for what was said: words, by whom, where, before when.
import { el, say } from '../dom';
import { day, hour } from '../format';
import { turns } from '../turns';
import { search, title, type Hit } from './api';
import type { Hub } from './hub';

/** A question as the chat takes it. Pure. */
export function question(words: string, from: string, room: string, before: string): string {
  const parts = [words.trim(), from.trim() && `from:${from.trim().replace(/^@/, '')}`, room && `in:${room}`, before && `before:${before}`];
  return parts.filter(Boolean).join(' ');
}

export interface Search {
  root: HTMLElement;
  /** Which conversation `in this conversation` means. */
  within: (room: string) => void;
}

/** `busy` is told whether there are results in the place of the list. */
export function searching(hub: Hub, shown: (on: boolean) => void): Search {
  const words = el('input', { type: 'search', placeholder: 'Words', 'aria-label': 'Search messages', maxlength: '300', 'data-testid': 'search' });
  const from = el('input', { id: 'search-from', placeholder: 'anybody', maxlength: '33', autocapitalize: 'none', spellcheck: 'false', 'data-testid': 'search-from' });
  const before = el('input', { id: 'search-before', type: 'date', 'data-testid': 'search-before' });
  const here = el('input', { type: 'checkbox', id: 'search-in', 'data-testid': 'search-in' });
  const inside = el('label', { class: 'check', for: 'search-in' }, here, 'In this conversation only');
  const narrower = el('details', {}, el('summary', { 'data-testid': 'search-more' }, 'Narrower'), el('div', { class: 'search-more' }, el('div', { class: 'field' }, el('label', { for: 'search-from' }, 'From'), from), el('div', { class: 'field' }, el('label', { for: 'search-before' }, 'Before'), before), inside));
  const told = el('p', { class: 'dim', role: 'status' });
  const hits = el('ul', { class: 'rooms', 'data-testid': 'hits', 'aria-label': 'Found' });
  const more = el('button', { type: 'button', class: 'quiet', hidden: true }, 'More');
  const close = el('button', { type: 'button', class: 'quiet', hidden: true, 'data-testid': 'search-end' }, 'Back to the list');
  const form = el('form', { role: 'search', class: 'search-form' }, el('div', { class: 'row tight' }, words, el('button', { type: 'submit', class: 'quiet' }, 'Search')), narrower);
  const results = el('div', { class: 'results', hidden: true }, el('div', { class: 'row' }, told, el('span', { class: 'push' }, close)), hits, more);
  let room = '';
  let asked = '';
  let next: string | null = null;
  const inTurn = turns(more);
  const load = (anew: boolean) => inTurn(() => search(asked, anew ? undefined : next ?? undefined), (page) => {
    if (anew) hits.replaceChildren();
    hits.append(...page.hits.map((hit) => found(hit, hub)));
    next = page.next;
    more.hidden = !next;
    say(told, hits.childElementCount === 0 ? 'Nothing found. Whole words are looked for.' : `${hits.childElementCount}${next ? ' or more' : ''} found`);
  });
  const show = (on: boolean) => {
    results.hidden = close.hidden = !on;
    shown(on);
  };
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    asked = question(words.value, from.value, here.checked ? room : '', before.value);
    if (!words.value.trim() && !from.value.trim()) return show(false);
    show(true);
    say(told, 'Looking…');
    load(true).catch((error: Error) => {
      hits.replaceChildren();
      more.hidden = true;
      say(told, error.message);
    });
  });
  more.addEventListener('click', () => void load(false).catch((error: Error) => say(told, error.message)));
  close.addEventListener('click', () => {
    words.value = from.value = '';
    show(false);
    words.focus();
  });
  words.addEventListener('search', () => !words.value && !from.value && show(false));
  const within = (id: string) => {
    room = id;
    inside.hidden = !id;
    if (!id) here.checked = false;
  };
  within('');
  return { root: el('div', { class: 'search-place' }, form, results), within };
}

function found({ conversation, message }: Hit, hub: Hub): HTMLElement {
  const room = hub.rooms.get(conversation);
  return el('li', {}, el('a', { class: 'room hit', href: `/chat/${conversation}/${message.seq}`, 'data-testid': 'hit' }, el('span', { class: 'room-words' }, el('span', { class: 'room-title' }, `${message.name}${room ? ` · ${title(room)}` : ''}`), el('span', { class: 'last two-lines' }, message.text)), el('time', { class: 'dim' }, `${day(message.at_ms, Date.now())}, ${hour(message.at_ms)}`)));
}
