// Everything that was ordered, the newest first. What is under way is followed.
import { el, say } from '../dom';
import { day, hour } from '../format';
import { live } from '../live';
import { money } from '../money';
import { invitation } from '../sign-in';
import { turns } from '../turns';
import { empty } from '../views';
import { channel, orders, type Order } from './api';
import type { Shopping } from './index';
import { moves, stateWords } from './states';

export async function ordersPage({ main, until, mine }: Shopping): Promise<void> {
  document.title = 'Orders · Sluice';
  main.append(el('h1', {}, 'Your orders'));
  if (!mine) return void main.append(invitation('Sign in to see your orders.'));
  const list = el('ul', { class: 'orders', 'data-testid': 'orders' });
  const more = el('button', { type: 'button', class: 'more quiet', hidden: true }, 'Show more');
  const wrong = el('p', { class: 'why', role: 'alert' });
  let next: string | undefined;
  const inTurn = turns(more);
  const load = () => inTurn(() => orders(next), (page) => {
    say(wrong, '');
    list.append(...page.orders.map((order) => entry(order, until)));
    next = page.next;
    more.hidden = !next;
  });
  more.addEventListener('click', () => void load().catch((error: Error) => say(wrong, error.message)));
  await load();
  if (list.childElementCount === 0) return void main.append(empty('Nothing ordered yet', 'What you order is kept here, with where it is.', el('a', { class: 'button', href: '/shop' }, 'To the products')));
  main.append(list, more, wrong);
}

function entry(order: Order, until: AbortSignal): HTMLElement {
  const state = el('span', { 'data-testid': 'entry-state' });
  const show = (now: string, reason?: string) => {
    const { word, mood } = stateWords(now, reason);
    say(state, word);
    state.className = `badge mood-${mood}`;
    root.dataset.state = now;
  };
  const root = el(
    'li',
    { 'data-testid': 'orders-entry' },
    el('a', { class: 'panel order-entry', href: `/shop/orders/${order.id}` }, el('span', {}, el('strong', {}, `${day(order.created_ms, Date.now())}, ${hour(order.created_ms)}`), el('span', { class: 'dim block' }, order.id)), state, el('span', { class: 'price push' }, money(order.total, order.currency))),
  );
  show(order.state, order.reason);
  if (moves(order.state)) live.listen(`order:${order.id}`, { until, after: 0, token: () => channel(order.id), hear: ({ data }) => data?.state && show(String(data.state), data.reason ? String(data.reason) : undefined) });
  return root;
}
