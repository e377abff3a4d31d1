// What of the shop is shown: words, facets with their counts, an order. It stands in the page's address, too.
import { button, el, say, type Child } from '../dom';
import { counted } from '../format';
import { money } from '../money';
import type { Facets, FacetValue, Found } from './api';
import { forget } from './known';
import { called, offered, want, wanted } from './language';

/** Silence after a key before a question is asked, in milliseconds. */
const PAUSE = 180;

const ORDERS = [['relevance', 'Best match'], ['newest', 'Newest'], ['price', 'Price, low to high'], ['-price', 'Price, high to low']] as const;
const NAMES = ['q', 'category', 'option', 'price', 'in_stock', 'sort'];

export interface Finder {
  root: HTMLElement;
  asked: () => URLSearchParams;
  /** Shows how many there are, and what to choose from. */
  draw: (found: Found) => void;
}

/** The search of the shop; `changed` is called when something else is to be shown. */
export function finder(changed: () => void): Finder {
  const asked = new URLSearchParams([...new URLSearchParams(location.search)].filter(([name]) => NAMES.includes(name)));
  const words = el('input', { type: 'search', class: 'search', placeholder: 'Search', 'aria-label': 'Search the shop', 'data-testid': 'shop-search', value: asked.get('q') ?? '', maxlength: '200' });
  const order = el('select', { 'aria-label': 'Order', 'data-testid': 'shop-order' }, ...ORDERS.map(([value, text]) => el('option', { value, selected: value === (asked.get('sort') ?? 'relevance') }, text)));
  const language = languages(changed);
  const count = el('p', { class: 'dim', role: 'status', 'data-testid': 'shop-total' });
  const groups = el('div', { class: 'facets' });
  const wide = matchMedia('(min-width: 900px)').matches;
  const more = el('details', { class: 'panel finder-more', open: wide }, el('summary', {}, 'Filter'), groups);

  const tell = () => {
    history.replaceState(null, '', asked.size ? `/shop?${asked.toString()}` : '/shop');
    changed();
  };
  const set = (name: string, value: string) => {
    if (value) asked.set(name, value);
    else asked.delete(name);
    tell();
  };
  const toggle = (name: string, value: string) => {
    if (asked.has(name, value)) asked.delete(name, value);
    else asked.append(name, value);
    tell();
  };
  let timer = 0;
  words.addEventListener('input', () => {
    clearTimeout(timer);
    timer = window.setTimeout(() => set('q', words.value.trim()), PAUSE);
  });
  order.addEventListener('change', () => set('sort', order.value === 'relevance' ? '' : order.value));

  const values = (title: string, name: string, all: FacetValue[], of: (value: string) => string) =>
    group(title, all.map(({ value, count: n, chosen }) => pick('checkbox', name, of(value), value, n, chosen, () => toggle(name, of(value)))));
  const prices = ({ price: { ranges } }: Facets, currency: string) => {
    const now = asked.get('price') ?? '';
    const range = (from: number, to: number) => `${money(from, currency)} – ${money(to, currency)}`;
    const all = ranges.map(({ from, to, count: n }) => pick('radio', 'price', `${from}-${to}`, range(from, to), n, now === `${from}-${to}`, () => set('price', `${from}-${to}`)));
    return group('Price', all.length > 1 || now ? [pick('radio', 'price', '', 'Any', null, !now, () => set('price', '')), ...all] : []);
  };
  const draw = ({ facets, total, currency }: Found) => {
    say(count, counted(total, 'product'));
    // Whoever chooses by key stays where they were.
    const at = groups.contains(document.activeElement) ? document.activeElement?.getAttribute('data-key') : null;
    const some = [...asked.keys()].some((name) => name !== 'q' && name !== 'sort');
    groups.replaceChildren(
      ...[
        values('Category', 'category', facets.categories, (value) => value),
        ...facets.options.map(({ name, values: all }) => values(name, 'option', all, (value) => `${name}:${value}`)),
        prices(facets, currency),
        group('Stock', [pick('checkbox', 'in_stock', 'true', 'In stock', facets.in_stock, asked.get('in_stock') === 'true', () => toggle('in_stock', 'true'))]),
        some && button('Show all', { class: 'quiet', 'data-testid': 'shop-clear' }, () => {
          for (const name of NAMES) if (name !== 'q' && name !== 'sort') asked.delete(name);
          tell();
        }),
      ].filter((one): one is HTMLElement => Boolean(one)),
    );
    if (at) groups.querySelector<HTMLElement>(`[data-key="${CSS.escape(at)}"]`)?.focus();
  };
  const root = el('section', { class: 'finder', 'aria-label': 'Find products' }, el('div', { class: 'row finder-bar' }, words, order, language, count), more);
  return { root, asked: () => asked, draw };
}

/** The language of titles and descriptions; where a product has none of it, it is shown as it was first written. */
function languages(changed: () => void): HTMLSelectElement {
  const chosen = wanted();
  const option = (tag: string) => el('option', { value: tag, lang: tag, selected: tag === chosen }, called(tag));
  const choice = el('select', { 'aria-label': 'Language of products', 'data-testid': 'shop-language' }, el('option', { value: '', selected: !chosen }, 'As written'), ...offered(chosen, navigator.languages).map(option));
  choice.addEventListener('change', () => {
    want(choice.value);
    forget();
    changed();
  });
  return choice;
}

function group(title: string, choices: Child[]): HTMLElement | null {
  return choices.length > 0 ? el('fieldset', { class: 'choices facet' }, el('legend', {}, title), ...choices) : null;
}

/** A value to choose, and how many products there are with it. */
function pick(type: 'checkbox' | 'radio', name: string, value: string, words: string, count: number | null, checked: boolean, act: () => void): HTMLElement {
  const input = el('input', { type, name, value, checked, 'data-key': `${name}=${value}`, 'data-testid': `facet-${name}` });
  input.addEventListener('change', act);
  return el('label', { class: 'pick' }, input, el('span', {}, words), count === null ? null : el('span', { class: 'dim number push' }, String(count)));
}
