// The home page: what those whom one follows have posted, ranked or by time, and a word when there is more.
import { button, el, say } from '../dom';
import { isGone } from '../gone';
import { live } from '../live';
import { turns } from '../turns';
import { go } from '../views';
import { filled, home, PAGE, person, seen, token, type HomePage, type Order, type Post } from './api';
import { card, type Shelf } from './card';
import { compose } from './compose';
import type { Feeding } from './index';

const ORDER = 'sluice-feed-order';

/** Milliseconds between two looks for what is new: whoever did not look for `badge_ms` (10 min) is told of nothing. */
const LOOK_EVERY = 240_000;

const ORDERS: [Order, string][] = [['ranked', 'For you'], ['latest', 'Latest']];

export async function homePage({ main, until, mine }: Feeding): Promise<void> {
  document.title = 'Feed · Sluice';
  const me = mine.me!;
  const list = el('section', { class: 'posts', 'aria-label': 'Home', 'aria-busy': 'true', 'data-testid': 'home' });
  const fresh = el('button', { type: 'button', class: 'fresh', hidden: true, 'data-testid': 'fresh' });
  const told = el('p', { class: 'hidden', role: 'status' });
  const none = el('section', { class: 'invitation', hidden: true, 'data-testid': 'empty' }, el('h2', {}, 'Nothing here yet'), el('p', { class: 'dim' }, 'Write something, or follow somebody by their handle: what they post comes here.'));
  const more = el('button', { type: 'button', class: 'more quiet', hidden: true, 'data-testid': 'feed-more' }, 'Show more');
  const wrong = el('p', { class: 'why', role: 'alert' });
  const shelf: Shelf = { mine, until, gone: () => draw() };
  const ids = new Set<string>();
  let order: Order = localStorage.getItem(ORDER) === 'latest' ? 'latest' : 'ranked';
  let next: string | null | undefined;
  let newest = 0;
  const draw = () => (none.hidden = list.childElementCount > 0);
  const add = (post: Post, first = false) => {
    if (ids.has(post.id)) return;
    ids.add(post.id);
    newest = Math.max(newest, post.at_ms);
    if (first) list.prepend(card(post, shelf));
    else list.append(card(post, shelf));
    draw();
  };
  const inTurn = turns(more);
  const read = async (after: string | null | undefined) => {
    const told = await home(order, after);
    return { ...told, items: await filled(told.items) };
  };
  const load = (anew: boolean) => inTurn(() => read(anew ? null : next), (page) => {
    if (until.aborted) return;
    say(wrong, '');
    if (anew) {
      list.replaceChildren();
      ids.clear();
      fresh.hidden = true;
    }
    mine.told(page.items);
    for (const { c } of page.items) if (c) add(c);
    next = page.next;
    more.hidden = !next;
    list.removeAttribute('aria-busy');
    draw();
    if (anew) look(page);
  });
  const again = () => load(true).then(() => scrollTo({ top: 0 }), (error: Error) => {
    // What is shown is of the other order, and does not go on in this one.
    more.hidden = true;
    say(wrong, error.message);
  });
  more.addEventListener('click', () => void load(false).catch((error: Error) => say(wrong, error.message)));
  fresh.addEventListener('click', () => void again());
  const sides = [
    el('h1', {}, 'Feed'),
    compose((post) => add(post, true)),
    el('div', { class: 'row feed-bar' }, choice(order, (to) => {
      order = to;
      localStorage.setItem(ORDER, to);
      void again();
    }), el('span', { class: 'push' }, finder())),
    fresh,
    told,
    none,
  ];
  main.append(el('div', { class: 'column' }, ...sides, list, wrong, more));
  await load(true);
  // The newest that the button is about.
  let offered = '';
  const count = () => void home('latest').then(({ items, seen: known }) => {
    const news = items.flatMap(({ c }) => (c && c.at_ms > newest && c.id > (known ?? '') && c.author !== me.handle ? [c.id] : []));
    const n = news.length;
    if (until.aborted || n === 0) return;
    offered = news.reduce((a, b) => (a > b ? a : b));
    const words = `${n >= PAGE ? `${PAGE} or more` : n} new ${n === 1 ? 'post' : 'posts'}`;
    say(fresh, words);
    say(told, words);
    fresh.hidden = false;
  }, () => undefined);
  live.listen(`home:${me.account}`, {
    until,
    token,
    hear: ({ data }) => {
      if (data && 'new' in data) count();
      // Another device has shown them.
      else if (data && 'seen' in data && String(data.seen) >= offered) fresh.hidden = true;
    },
    missed: count,
  });
  // Authors whom many follow have nobody told, and who looks at a page for long is told no more: so it looks by itself.
  const recount = () => document.hidden || count();
  const timer = window.setInterval(recount, LOOK_EVERY);
  document.addEventListener('visibilitychange', recount, { signal: until });
  until.addEventListener('abort', () => window.clearInterval(timer));
}

/** Says how far this account has looked, for its other devices. */
function look({ items, seen: known }: HomePage): void {
  const newest = items.map(({ c }) => c).filter((c): c is Post => Boolean(c)).sort((a, b) => b.at_ms - a.at_ms)[0];
  if (newest && newest.id !== known) void seen(newest.id).catch(() => undefined);
}

function choice(now: Order, chosen: (order: Order) => void): HTMLElement {
  const nodes = ORDERS.map(([order, words]) => el('button', { type: 'button', class: 'kind', role: 'radio', 'aria-checked': String(order === now), tabindex: order === now ? '0' : '-1', 'data-testid': `order-${order}` }, words));
  const choose = (n: number) => {
    nodes.forEach((node, at) => {
      node.setAttribute('aria-checked', String(at === n));
      node.tabIndex = at === n ? 0 : -1;
    });
    nodes[n]?.focus();
    chosen(ORDERS[n]![0]);
  };
  const root = el('div', { class: 'kinds', role: 'radiogroup', 'aria-label': 'Order' }, ...nodes);
  nodes.forEach((node, n) => node.addEventListener('click', () => choose(n)));
  root.addEventListener('keydown', (event) => {
    if (!['ArrowLeft', 'ArrowRight', 'ArrowUp', 'ArrowDown'].includes(event.key)) return;
    event.preventDefault();
    choose(1 - nodes.findIndex((node) => node.getAttribute('aria-checked') === 'true'));
  });
  return root;
}

/** To somebody's profile, by the handle. */
function finder(): HTMLElement {
  const handle = el('input', { placeholder: 'Find a handle', 'aria-label': 'Find somebody by their handle', required: true, maxlength: '33', autocapitalize: 'none', spellcheck: 'false', 'data-testid': 'find-handle' });
  const wrong = el('span', { class: 'why', role: 'alert' });
  const form = el('form', { class: 'row tight', role: 'search' }, handle, button('Find', { type: 'submit', class: 'quiet', 'data-testid': 'find' }, () => undefined), wrong);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const whom = handle.value.trim().replace(/^@/, '').toLowerCase();
    person(whom).then(() => go(`/feed/users/${whom}`), (error: Error) => say(wrong, isGone(error) ? `Nobody here is called ${whom}.` : error.message));
  });
  return form;
}

