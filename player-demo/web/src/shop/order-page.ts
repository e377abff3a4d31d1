// An order: what is in it, where it is, and what is left to do. It is followed as it goes.
import { button, el, say } from '../dom';
import { clock, day, hour } from '../format';
import { live, type Frame } from '../live';
import { money } from '../money';
import { isNo, Refused } from '../session';
import { invitation } from '../sign-in';
import { unique } from '../unique';
import { empty, go } from '../views';
import { cancel, channel, order, pay, type Order } from './api';
import type { Shopping } from './index';
import { find, lineName, type Known } from './known';
import { parcelList } from './parcel-list';
import { heard, isParcel, newest } from './parcels';
import { queue } from './queue';
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
  const known = await find((first.lines ?? []).map(({ variant }) => variant)).catch(() => new Map<string, Known>());
  const sent = parcelList(first, known);
  root.append(sent.root);
  at.main.append(el('p', {}, el('a', { href: '/shop/orders', class: 'dim' }, '← Your orders')), el('div', { class: 'basket' }, root, contents(first, known)));
  let now = first;
  const show = ({ state, reason, parcels = [] }: Where) => {
    now = { ...now, state, reason: reason ?? now.reason, parcels: newest(parcels, now.parcels ?? []) };
    sent.show(now.parcels ?? []);
    root.dataset.state = state;
    draw(now, head, steps);
    const key = state === 'reserved' ? 'pay' : state === 'paying' ? 'wait' : ['released', 'failed', 'refunded', 'canceled'].includes(state) ? 'again' : state === 'confirmed' ? 'done' : '';
    if (act.dataset.shown === key) return;
    act.dataset.shown = key;
    const unwanted = () => el('p', { class: 'row' }, cancellation(now, wrong, show));
    act.replaceChildren(...(key === 'pay' ? [payment(now, at.until, wrong, show, back), unwanted()] : key === 'wait' ? [unwanted()] : key === 'again' ? [again(now, at.until)] : key === 'done' ? [el('a', { class: 'button', href: '/shop' }, 'To the products')] : []));
  };
  // Where nobody can say what became of a payment, it is tried again: an order is paid once.
  const back = () => now.state === 'paying' && show({ state: 'reserved' });
  show(first);
  const look = () => void order(id).then(show, () => undefined);
  // What is replayed tells how it came to be as it is.
  const hear = ({ at_ms, data }: Frame) => {
    const parcel = data?.parcel;
    if (isParcel(parcel)) return show({ ...now, parcels: heard(now.parcels ?? [], parcel) });
    if (!data?.state) return look();
    const reason = data.reason ? String(data.reason) : data.state === 'failed' ? 'declined' : undefined;
    show({ state: at_ms < first.changed_ms ? now.state : String(data.state), reason });
  };
  live.listen(`order:${id}`, { until: at.until, after: 0, token: () => channel(id), hear, missed: look });
  let lost = false;
  live.watch((link) => {
    if (link === 'open' && lost) look();
    lost = link === 'lost';
  }, at.until);
}

/** Where an order is, why, where it ended without a sale, and what of it was sent. */
type Where = Pick<Order, 'state' | 'reason' | 'parcels'>;

const STEPS = ['Held for you', 'Being paid', 'Paid', 'Confirmed'];

function draw({ state, reason }: Order, head: HTMLElement, steps: HTMLElement): void {
  const { word, mood, more } = stateWords(state, reason);
  // Drawn anew it is read aloud anew: a parcel that moves says nothing of the order.
  const said = `${word} ${more}`;
  if (head.dataset.said !== said) head.replaceChildren(el('h1', { 'data-testid': 'order-state' }, word), el('p', { class: mood === 'bad' ? 'why' : 'dim' }, more));
  head.dataset.said = said;
  const at = reached(state);
  steps.hidden = at < 0;
  steps.replaceChildren(...STEPS.map((words, n) => el('li', { class: n < at || state === 'confirmed' ? 'done' : n === at ? 'now' : '', ...(n === at ? { 'aria-current': 'step' } : {}) }, words)));
}

/** Which card, until when, and the button. */
function payment({ id, total, currency, held_until_ms }: Order, until: AbortSignal, wrong: HTMLElement, show: (where: Where) => void, back: () => void): HTMLElement {
  const left = el('span', { class: 'number', 'data-testid': 'held' });
  const cards = CARDS.map(([value, title, what], n) => el('label', { class: 'choice', 'data-testid': 'card' }, el('input', { type: 'radio', name: 'card', value, checked: n === 0 }), el('span', {}, title), el('span', { class: 'dim push' }, what)));
  const form = el('form', { class: 'composer' });
  const buy = button(`Pay ${money(total, currency)}`, { 'data-testid': 'pay' }, async () => {
    const method = String(new FormData(form).get('card'));
    show({ state: 'paying' });
    try {
      show(await pay(id, method));
    } catch (error) {
      await order(id).then(show, back);
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

/** It is not wanted any more. What was paid meanwhile is given back; what is paid already is said to be so. */
function cancellation({ id }: Order, wrong: HTMLElement, show: (where: Where) => void): HTMLButtonElement {
  const key = unique();
  return button('Cancel the order', { class: 'quiet', 'data-testid': 'cancel' }, async () => {
    try {
      show(await cancel(id, key));
    } catch (error) {
      const now = await order(id).catch(() => null);
      if (now) show(now);
      throw error;
    }
  }, wrong);
}

/** The same once more: an order is paid once, so another try is another order. */
function again({ lines = [], reason }: Order, until: AbortSignal): HTMLElement {
  const wrong = el('p', { class: 'why', role: 'alert' });
  const line = queue(until);
  let key = line.kept(lines) ?? unique();
  const retry = button(reason === 'buyer' ? 'Order it again' : 'Try again with another card', { 'data-testid': 'again' }, async () => {
    const next = await line.order(() => lines, () => key).catch((error: unknown) => {
      if (!isNo(error)) throw error;
      key = unique();
      throw error.kind === 'sold-out' ? new Error('Meanwhile somebody else has bought it: there are not so many left.') : error;
    });
    if (next && !until.aborted) go(`/shop/orders/${next.id}`);
  }, wrong);
  if (line.kept(lines)) retry.click();
  return el('div', { class: 'composer' }, wrong, el('p', { class: 'row' }, retry, el('a', { href: '/shop' }, 'To the products')), line.root);
}

function contents({ id, lines = [], total, tax, currency, created_ms }: Order, known: Map<string, Known>): HTMLElement {
  const rows = lines.map((line) => {
    const of = known.get(line.variant);
    const name = lineName(known, line);
    return el('li', {}, el('span', {}, `${line.quantity} × `, of ? el('a', { href: `/shop/products/${of.product.id}` }, name) : name), el('span', { class: 'number' }, money(line.price * line.quantity, currency)));
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
