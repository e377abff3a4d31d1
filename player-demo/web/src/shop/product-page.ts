// A product: what it looks like, what there is of it, and the way into the basket.
import { button, el, say } from '../dom';
import { live } from '../live';
import { money } from '../money';
import { Refused } from '../session';
import { empty } from '../views';
import { product, sold, type Product, type Variant } from './api';
import { stockIn } from './admin';
import { basket, MOST } from './basket';
import { gallery } from './gallery';
import type { Shopping } from './index';
import { learn } from './known';
import { stockWord, watchStock } from './stock';

export async function productPage(id: string, at: Shopping): Promise<void> {
  document.title = 'Shop · Sluice';
  const one = await product(id).then(learn, (error: unknown) => {
    if (error instanceof Refused && error.status === 404) return null;
    throw error;
  });
  if (!one) return void at.main.append(empty('Not sold here', 'There is no such product, or it is sold no longer.', el('a', { class: 'button', href: '/shop' }, 'To the products')));
  const words = el('div', { class: 'product-words' });
  const admin = at.mine?.roles.includes('admin') ? stockIn(one, at.until) : null;
  at.main.append(el('article', { class: 'product', 'data-testid': 'product-page' }, gallery(one, at.until), words), ...(admin ? [admin] : []));
  const wish: Wish = { quantity: '1' };
  let drawn = new AbortController();
  const draw = (now: Product) => {
    // Asked for on this page, and answered on another.
    if (at.until.aborted) return;
    document.title = `${now.title} · Sluice`;
    drawn.abort();
    drawn = new AbortController();
    describe(words, now, wish, AbortSignal.any([at.until, drawn.signal]));
  };
  draw(one);
  // Its words and prices may change while they are looked at.
  const anew = () => void product(id).then((now) => draw(learn(now)), () => undefined);
  live.listen(`product:${id}`, { until: at.until, hear: anew, missed: anew });
}

/** What the buyer has chosen; it outlasts what is drawn. */
interface Wish {
  variant?: string;
  quantity: string;
}

/** How a control is found again in what is drawn anew. */
const likeness = (node: HTMLElement): string => (node instanceof HTMLInputElement && node.type === 'radio' ? `input[value="${CSS.escape(node.value)}"]` : `[data-testid="${node.dataset.testid}"]`);

function describe(words: HTMLElement, one: Product, wish: Wish, until: AbortSignal): void {
  const variants = sold(one);
  const focused = words.querySelector<HTMLElement>(':focus');
  words.replaceChildren(
    el('h1', { lang: one.language }, one.title),
    variants.length > 0 ? offer(one, variants, wish, until) : el('p', { class: 'stock none' }, 'Not sold here'),
    one.description ? el('p', { class: 'product-about', lang: one.language }, one.description) : '',
  );
  if (focused) words.querySelector<HTMLElement>(likeness(focused))?.focus({ preventScroll: true });
}

/** Which one, how many, and the button. */
function offer(one: Product, variants: Variant[], wish: Wish, until: AbortSignal): HTMLElement {
  const left = new Map<string, number>();
  let chosen = variants.find(({ id }) => id === wish.variant) ?? variants[0]!;
  wish.variant = chosen.id;
  const price = el('p', { class: 'price large', 'data-testid': 'price' });
  const { root: word, show } = stockWord();
  const told = el('p', { class: 'told', role: 'status' });
  const wrong = el('p', { class: 'why', role: 'alert' });
  const quantity = el('input', { type: 'number', id: 'quantity', min: '1', max: String(MOST), value: wish.quantity, inputmode: 'numeric', 'data-testid': 'quantity' });
  quantity.addEventListener('input', () => (wish.quantity = quantity.value));
  const add = button('Add to the basket', { 'data-testid': 'add' }, async () => {
    const units = Math.max(1, Math.min(MOST, Number(quantity.value) || 1));
    await basket.add(chosen.id, units);
    told.replaceChildren(`${units} × ${one.title} in the basket. `, el('a', { href: '/shop/basket' }, 'To the basket'));
  }, wrong);
  const draw = () => {
    say(price, money(chosen.price ?? 0, one.currency));
    const available = left.get(chosen.id);
    if (available === undefined) return;
    show(available);
    add.disabled = available === 0;
    say(add, available === 0 ? 'Sold out' : 'Add to the basket');
  };
  const choices = variants.map((variant) => {
    const input = el('input', { type: 'radio', name: 'variant', value: variant.id, checked: variant === chosen });
    const out = el('span', { class: 'stock none', hidden: true }, 'sold out');
    input.addEventListener('change', () => {
      chosen = variant;
      wish.variant = variant.id;
      draw();
    });
    watchStock(variant.id, until, (available) => {
      left.set(variant.id, available);
      out.hidden = available > 0;
      draw();
    });
    return el('label', { class: 'choice', 'data-testid': 'variant' }, input, el('span', {}, variant.title), out, el('span', { class: 'number push' }, money(variant.price ?? 0, one.currency)));
  });
  draw();
  return el(
    'div',
    { class: 'offer' },
    price,
    el('p', { class: 'row' }, word, el('span', { class: 'dim' }, 'with tax')),
    variants.length > 1 ? el('fieldset', { class: 'choices' }, el('legend', {}, 'Which one'), ...choices) : null,
    el('div', { class: 'row buy' }, el('label', { for: 'quantity', class: 'hidden' }, 'Quantity'), quantity, add),
    wrong,
    told,
  );
}
