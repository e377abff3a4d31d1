// The basket: how many of what, and the way to an order, which holds the stock until it is paid.
import { button, el, say } from '../dom';
import { money } from '../money';
import { isNo } from '../session';
import { invitation } from '../sign-in';
import { unique } from '../unique';
import { empty, go } from '../views';
import type { Line } from './api';
import { basket, MOST } from './basket';
import { swatch } from './grid';
import type { Shopping } from './index';
import { find, named, type Known } from './known';
import { queue } from './queue';
import { inWords, watchStock } from './stock';

export async function basketPage(at: Shopping): Promise<void> {
  document.title = 'Basket · Sluice';
  const lines = el('ul', { class: 'basket-lines', 'data-testid': 'basket' });
  const sum = el('span', { class: 'price', 'data-testid': 'total' });
  const wrong = el('p', { class: 'why', role: 'alert', 'data-testid': 'basket-wrong' });
  await basket.open();
  const known = await find(basket.lines.map(({ variant }) => variant));
  // Until the basket changes, sending it again is the same order.
  let key = unique();
  const line = queue(at.until);
  // Lines, and not the cart that they are in: so edges see what is ordered, and hold the crowd in front of it.
  const buy = button('Check out', { 'data-testid': 'checkout' }, async () => {
    const order = await line.order(() => basket.lines, () => key).catch((error: unknown) => {
      if (!isNo(error)) throw error;
      key = unique();
      throw error.kind === 'sold-out' ? new Error('Somebody was faster: there are not so many left. Change the quantities, and try again.') : error;
    });
    if (!order) return;
    void basket.ordered(order.lines ?? []).catch(() => undefined);
    if (!at.until.aborted) go(`/shop/orders/${order.id}`);
  }, wrong);
  const foot = at.mine ? buy : invitation('Sign in to order. What is in the basket stays in it.');
  const body = el('div', { class: 'basket' }, el('section', { class: 'panel', 'aria-label': 'What is in it' }, lines), el('aside', { class: 'panel summary', 'aria-label': 'Sum' }, el('p', { class: 'row' }, el('span', {}, 'In all, with tax'), el('span', { class: 'push' }, sum)), el('p', { class: 'dim' }, 'Checking out holds the goods for you; you pay after that.'), wrong, foot, line.root));
  const none = empty('The basket is empty', 'What you put into it stays there, also on your other devices.', el('a', { class: 'button', href: '/shop' }, 'To the products'));
  at.main.append(el('h1', {}, 'Basket'), body, none);
  const rows = new Map<string, Row>();
  const asked = new Set(basket.lines.map(({ variant }) => variant));
  const changed = (all: Line[]) => {
    key = unique();
    line.changed(all);
    const strange = all.map(({ variant }) => variant).filter((variant) => !asked.has(variant));
    if (strange.length === 0) return draw(all);
    // Another tab or device has put it in: it is named before it is shown.
    find(strange).then(() => {
      for (const variant of strange) asked.add(variant);
      draw(basket.lines);
    }, (error: Error) => say(wrong, error.message));
  };
  const draw = (all: Line[]) => {
    body.hidden = all.length === 0;
    none.hidden = all.length > 0;
    for (const [variant, { root }] of rows) {
      if (all.some((line) => line.variant === variant)) continue;
      root.remove();
      rows.delete(variant);
    }
    for (const line of all) {
      const row = rows.get(line.variant) ?? begin(line, known.get(line.variant), at.until, wrong);
      if (!rows.has(line.variant)) lines.append(row.root);
      rows.set(line.variant, row);
      row.show(line.quantity);
    }
    const total = all.reduce((sum, { variant, quantity }) => sum + (known.get(variant)?.variant.price ?? 0) * quantity, 0);
    const currency = [...known.values()][0]?.currency ?? 'EUR';
    say(sum, money(total, currency));
  };
  basket.watch(changed, at.until);
  const kept = line.kept(basket.lines);
  if (!at.mine || !kept) return;
  key = kept;
  buy.click();
}

interface Row {
  root: HTMLElement;
  show: (quantity: number) => void;
}

function begin({ variant }: Line, known: Known | undefined, until: AbortSignal, wrong: HTMLElement): Row {
  const name = known ? named(known) : 'Something that is sold no longer';
  const quantity = el('input', { type: 'number', min: '0', max: String(MOST), inputmode: 'numeric', 'aria-label': `Quantity of ${name}`, 'data-testid': 'line-quantity' });
  const left = el('span', { class: 'dim', role: 'status' });
  const price = el('span', { class: 'number price' });
  const set = (n: number) => basket.set(variant, n).catch((error: Error) => say(wrong, error.message));
  quantity.addEventListener('change', () => void set(Number(quantity.value)));
  const step = (by: number, sign: string, words: string) => button(sign, { class: 'quiet step', 'aria-label': `${words} of ${name}` }, () => set((Number(quantity.value) || 0) + by));
  let available: number | null = null;
  const judge = () => {
    const few = available !== null && Number(quantity.value) > available;
    say(left, available === null ? '' : few ? (available === 0 ? 'Sold out' : `Only ${available} left`) : inWords(available));
    left.className = few ? 'why' : 'dim';
  };
  watchStock(variant, until, (now) => {
    available = now;
    judge();
  });
  const root = el(
    'li',
    { 'data-testid': 'basket-line' },
    el('a', { class: 'thumb', href: known ? `/shop/products/${known.product.id}` : '/shop', tabindex: '-1', 'aria-hidden': 'true' }, swatch(known?.product.title ?? name, known?.product.image ?? undefined)),
    el('div', { class: 'basket-name' }, known ? el('a', { href: `/shop/products/${known.product.id}` }, name) : name, left),
    el('div', { class: 'stepper' }, step(-1, '−', 'One less'), quantity, step(1, '+', 'One more')),
    price,
    button('Remove', { class: 'quiet', 'aria-label': `Remove ${name}` }, () => set(0)),
  );
  const show = (units: number) => {
    quantity.value = String(units);
    say(price, known ? money((known.variant.price ?? 0) * units, known.currency) : '');
    judge();
  };
  return { root, show };
}
