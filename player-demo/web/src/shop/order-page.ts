// An order: what is in it, where it is, and what is left to do. It is followed as it goes.
import { button, el, say } from '../dom';
import { clock, day, hour } from '../format';
import { live, type Frame } from '../live';
import { money } from '../money';
import { Refused } from '../session';
import { invitation } from '../sign-in';
import { unique } from '../unique';
import { empty, go } from '../views';
import { channel, order, pay, place, type Order } from './api';
import type { Shopping } from './index';
import { find } from './known';
import { reached, stateWords } from './states';

/** What a gateway's trial takes instead of cards. */
const CARDS = [
  ['pm_card_visa', 'Test card', 'is charged at once'],
  ['pm_card_chargeDeclined', 'Test card without money', 'is declined'],
  ['pm_sim_error', 'Test card with a bad line', 'fails once, and is asked again'],
] as const;

export async function orderPage(id: string, at: Shopping): Promise<void> {
  document.title = 'Order · Sluice';
  if (!at.mine) return void at.main.append(invitation('Sign in to see your orders.'));
  const first = await order(id).catch((error: unknown) => {
    if (error instanceof Refused && [400, 404].includes(error.status)) return null;
    throw error;
  });
  if (!first) return void at.main.append(empty('No such order', 'There is no such order of yours.', el('a', { class: 'button', href: '/shop/orders' }, 'To your orders')));
  const head = el('div', { class: 'order-head', role: 'status' });
  const steps = el('ol', { class: 'steps' });
  const act = el('div', { class: 'order-act' });
  const wrong = el('p', { class: 'why', role: 'alert' });
  const root = el('section', { class: 'panel', 'data-testid': 'order', 'aria-label': 'Where it is' }, head, steps, act, wrong);
  at.main.append(el('p', {}, el('a', { href: '/shop/orders', class: 'dim' }, '← Your orders')), el('div', { class: 'basket' }, root, await contents(first)));
  let now = first;
  let refused = false;
  const show = (state: string) => {
    now = { ...now, state };
    root.dataset.state = state;
    draw(now, refused, head, steps);
    const key = state === 'reserved' ? 'pay' : ['released', 'failed', 'refunded'].includes(state) ? 'again' : state === 'confirmed' ? 'done' : '';
    if (act.dataset.shown === key) return;
    act.dataset.shown = key;
    act.replaceChildren(...(key === 'pay' ? [payment(now, at.until, wrong, show, (was) => (refused ||= was))] : key === 'again' ? [again(now)] : key === 'done' ? [el('a', { class: 'button', href: '/shop' }, 'To the products')] : []));
  };
  show(first.state);
  const look = () => void order(id).then(({ state }) => show(state), () => undefined);
  // What is replayed tells how it came to be as it is: a refusal ends as `released`, like an order that nobody paid.
  const hear = ({ at_ms, data }: Frame) => {
    if (!data?.state) return look();
    refused ||= data.state === 'failed';
    show(at_ms < first.changed_ms ? now.state : String(data.state));
  };
  live.listen(`order:${id}`, { until: at.until, after: 0, token: () => channel(id), hear, missed: look });
}

const STEPS = ['Held for you', 'Being paid', 'Paid', 'Confirmed'];

function draw({ state }: Order, refused: boolean, head: HTMLElement, steps: HTMLElement): void {
  const { word, mood, more } = stateWords(state, refused);
  head.replaceChildren(el('h1', { 'data-testid': 'order-state' }, word), el('p', { class: mood === 'bad' ? 'why' : 'dim' }, more));
  const at = reached(state);
  steps.hidden = at < 0;
  steps.replaceChildren(...STEPS.map((words, n) => el('li', { class: n < at || state === 'confirmed' ? 'done' : n === at ? 'now' : '', ...(n === at ? { 'aria-current': 'step' } : {}) }, words)));
}

/** Which card, until when, and the button. */
function payment({ id, total, currency, held_until_ms }: Order, until: AbortSignal, wrong: HTMLElement, show: (state: string) => void, refused: (was: boolean) => void): HTMLElement {
  const left = el('span', { class: 'number', 'data-testid': 'held' });
  const cards = CARDS.map(([value, title, what], n) => el('label', { class: 'choice', 'data-testid': 'card' }, el('input', { type: 'radio', name: 'card', value, checked: n === 0 }), el('span', {}, title), el('span', { class: 'dim push' }, what)));
  const form = el('form', { class: 'composer' });
  const buy = button(`Pay ${money(total, currency)}`, { 'data-testid': 'pay' }, async () => {
    const method = String(new FormData(form).get('card'));
    show('paying');
    try {
      const paid = await pay(id, method);
      // Paid at once and released at once is a refusal.
      refused(paid.state === 'released');
      show(paid.state);
    } catch (error) {
      const now = await order(id).catch(() => null);
      if (now) show(now.state);
      throw error;
    }
  }, wrong);
  const tick = () => say(left, clock(Math.max(0, ((held_until_ms ?? 0) - Date.now()) / 1000)));
  tick();
  const timer = window.setInterval(tick, 1000);
  until.addEventListener('abort', () => clearInterval(timer), { once: true });
  form.append(
    held_until_ms ? el('p', { class: 'held' }, 'Held until ', el('strong', {}, hour(held_until_ms)), ', for another ', left) : '',
    el('fieldset', { class: 'choices' }, el('legend', {}, 'Pay with'), ...cards),
    el('p', { class: 'dim' }, 'A trial: no card is charged, and nobody pays.'),
    buy,
  );
  return form;
}

/** The same once more: an order is paid once, so another try is another order. */
function again({ lines = [] }: Order): HTMLElement {
  const wrong = el('p', { class: 'why', role: 'alert' });
  let key = unique();
  const retry = button('Try again with another card', { 'data-testid': 'again' }, async () => {
    const next = await place({ lines: lines.map(({ variant, quantity }) => ({ variant, quantity })) }, key).catch((error: unknown) => {
      if (error instanceof Refused) key = unique();
      if (error instanceof Refused && error.kind === 'sold-out') throw new Error('Meanwhile somebody else has bought it: there are not so many left.');
      throw error;
    });
    go(`/shop/orders/${next.id}`);
  }, wrong);
  return el('div', { class: 'composer' }, wrong, el('p', { class: 'row' }, retry, el('a', { href: '/shop' }, 'To the products')));
}

async function contents({ id, lines = [], total, tax, currency, created_ms }: Order): Promise<HTMLElement> {
  const known = await find(lines.map(({ variant }) => variant)).catch(() => new Map());
  const rows = lines.map(({ variant, title, quantity, price }) => {
    const of = known.get(variant)?.product;
    const name = of ? (of.variants.length > 1 ? `${of.title}, ${title}` : of.title) : title;
    return el('li', {}, el('span', {}, `${quantity} × `, of ? el('a', { href: `/shop/products/${of.id}` }, name) : name), el('span', { class: 'number' }, money(price * quantity, currency)));
  });
  const fact = (name: string, value: string) => [el('dt', {}, name), el('dd', {}, value)];
  return el(
    'aside',
    { class: 'panel', 'aria-label': 'What was ordered', 'data-testid': 'order-lines' },
    el('h2', {}, 'Your order'),
    el('ul', { class: 'lines' }, ...rows),
    el('dl', { class: 'sums' }, ...fact('In all', money(total, currency)), ...fact('Tax in it', money(tax, currency)), ...fact('Ordered', `${day(created_ms, Date.now())}, ${hour(created_ms)}`), ...fact('Number', id)),
  );
}
