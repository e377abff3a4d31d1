// The shop: products whose stock is pushed, a basket, a checkout, an order that is followed as it goes.
import { el, say } from './dom';
import { live } from './live';
import { money } from './money';
import { ask, me, type Me } from './session';
import { invitation } from './sign-in';
import { newProduct } from './shop-admin';

export interface Variant {
  id: string;
  title: string;
  price: number | null;
}

interface Product {
  id: string;
  title: string;
  description: string;
  images: string[];
  video: string | null;
  currency: string;
  variants: Variant[];
}

interface Order {
  id: string;
  state: string;
  currency: string;
  total: number;
  lines: { title: string; quantity: number; price: number }[];
}

/** Where prices are of, until there is a choice. */
const MARKET = 'de';
/** Units of which there are few. */
const FEW = 5;

interface Line {
  variant: Variant;
  product: Product;
  quantity: number;
}

export async function shop(main: HTMLElement): Promise<void> {
  document.title = 'Shop · Sluice';
  const grid = el('div', { class: 'grid', 'aria-busy': 'true', 'data-testid': 'products' });
  const side = el('aside', { class: 'side', 'aria-label': 'Basket' });
  const none = el('p', { class: 'empty-note', hidden: true }, 'Nothing is sold yet. An administrator adds products here.');
  main.append(el('div', { class: 'shop' }, el('section', { 'aria-label': 'Products' }, el('h1', {}, 'Shop'), el('p', { class: 'dim' }, 'Prices with tax. Stock as it is now.'), none, grid), side));
  const mine = await me().catch(() => null);
  const basket = new Basket(mine);
  side.append(basket.root);
  const load = async () => {
    const { products } = await ask<{ products: { id: string }[] }>(`/v1/shop/products?market=${MARKET}&limit=48`);
    const all = await Promise.all(products.map(({ id }) => ask<Product>(`/v1/shop/products/${id}?market=${MARKET}`)));
    grid.replaceChildren(...all.map((product) => card(product, basket)));
    grid.removeAttribute('aria-busy');
    none.hidden = all.length > 0;
  };
  if (mine?.roles.includes('admin')) side.append(newProduct(() => void load()));
  await load().catch((error: Error) => grid.replaceChildren(el('p', { class: 'why', role: 'alert' }, error.message)));
}

function card(product: Product, basket: Basket): HTMLElement {
  const hue = [...product.title].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 360, 11);
  const image = product.images[0];
  const picture = el('div', { class: 'swatch', style: `--hue: ${hue}` }, image ? el('img', { src: image, alt: '', loading: 'lazy' }) : el('span', { 'aria-hidden': 'true' }, product.title.slice(0, 1)));
  const sold = product.variants.filter(({ price }) => price !== null);
  return el(
    'article',
    { class: 'card', 'data-testid': 'product', 'data-id': product.id },
    picture,
    el(
      'div',
      { class: 'card-body' },
      el('h2', { style: 'margin: 0' }, product.title),
      product.description ? el('p', { class: 'dim about' }, product.description) : null,
      product.video ? el('a', { class: 'dim', href: `/watch/${product.video}` }, 'Watch it') : null,
      ...sold.map((variant) => offer(product, variant, basket)),
    ),
  );
}

/** A variant: its price, how many there are, and the way into the basket. */
function offer(product: Product, variant: Variant, basket: Basket): HTMLElement {
  const stock = el('span', { class: 'stock', 'data-testid': 'stock', 'aria-live': 'polite' });
  const add = el('button', { type: 'button', 'data-testid': 'add', 'aria-label': `Add ${product.title}, ${variant.title} to the basket` }, 'Add');
  const show = (available: number) => {
    say(stock, available === 0 ? 'Sold out' : available <= FEW ? `Only ${available} left` : `${available} in stock`);
    stock.className = `stock ${available === 0 ? 'none' : available <= FEW ? 'few' : ''}`;
    add.disabled = available === 0;
  };
  const look = () => void ask<{ available: number }>(`/v1/shop/stock/${variant.id}`).then(({ available }) => show(available), () => undefined);
  look();
  live.listen(`stock:${variant.id}`, { hear: ({ data }) => (data ? show(Number(data.available)) : look()), missed: look });
  add.addEventListener('click', () => basket.add({ product, variant, quantity: 1 }));
  return el('div', { class: 'row' }, el('span', {}, variant.title), el('span', { class: 'price push' }, money(variant.price ?? 0, product.currency)), stock, add);
}

class Basket {
  readonly root = el('section', { class: 'panel', 'aria-label': 'Your basket' });
  private lines: Line[] = [];
  /** Until the basket changes, sending it again is the same order. */
  private key = crypto.randomUUID();

  constructor(private readonly mine: Me | null) {
    this.draw();
  }

  add(line: Line): void {
    const known = this.lines.find(({ variant }) => variant.id === line.variant.id);
    if (known) known.quantity += 1;
    else this.lines.push(line);
    this.key = crypto.randomUUID();
    this.draw();
  }

  private draw(): void {
    const { lines } = this;
    const head = el('h2', {}, 'Basket');
    if (lines.length === 0) return this.root.replaceChildren(head, el('p', { class: 'dim' }, 'Nothing in it.'));
    const currency = lines[0]?.product.currency ?? 'EUR';
    const total = lines.reduce((sum, { variant, quantity }) => sum + (variant.price ?? 0) * quantity, 0);
    const items = lines.map(({ product, variant, quantity }) => el('li', {}, el('span', {}, `${quantity} × ${product.title}, ${variant.title}`), el('span', { class: 'number' }, money((variant.price ?? 0) * quantity, currency))));
    const wrong = el('p', { class: 'why', role: 'alert' });
    const buy = el('button', { type: 'button', 'data-testid': 'checkout' }, `Pay ${money(total, currency)}`);
    buy.addEventListener('click', () => {
      buy.disabled = true;
      this.checkout().catch((error: Error) => {
        buy.disabled = false;
        say(wrong, error.message);
      });
    });
    this.root.replaceChildren(head, el('ul', { class: 'lines' }, ...items), el('p', { class: 'dim', style: 'margin: 10px 0' }, 'A test card is used: nobody pays.'), wrong, this.mine ? buy : invitation('Sign in to order.'));
  }

  private async checkout(): Promise<void> {
    const lines = this.lines.map(({ variant, quantity }) => ({ variant: variant.id, quantity }));
    const order = await ask<Order>('/v1/shop/orders', { method: 'POST', body: { market: MARKET, lines }, key: this.key });
    this.lines = [];
    this.draw();
    this.root.after(track(order));
    await ask(`/v1/shop/orders/${order.id}/payment`, { method: 'POST', body: { method: 'pm_card_visa' } });
  }
}

const STEPS: [string, string][] = [['reserved', 'Held for you'], ['paid', 'Paid'], ['confirmed', 'Confirmed']];
const REACHED: Record<string, number> = { reserved: 0, paying: 0, paid: 1, confirmed: 2 };

/** An order as it goes, pushed from the edge. */
function track(order: Order): HTMLElement {
  const steps = el('ol', { class: 'steps' });
  const root = el('section', { class: 'panel', 'aria-label': 'Your order', 'data-testid': 'order', 'aria-live': 'polite' }, el('h2', {}, 'Your order'), el('p', { class: 'dim' }, `${order.id} · ${money(order.total, order.currency)}`), steps);
  const show = (state: string) => {
    root.dataset.state = state;
    const reached = REACHED[state] ?? -1;
    steps.replaceChildren(...STEPS.map(([, words], at) => el('li', { class: at <= reached ? 'done' : '' }, words)), ...(reached < 0 ? [el('li', { class: 'bad' }, `It is ${state}: nothing was taken.`)] : []));
  };
  show(order.state);
  const look = () => void ask<Order>(`/v1/shop/orders/${order.id}`).then(({ state }) => show(state), () => undefined);
  live.listen(`order:${order.id}`, {
    after: 0,
    token: async () => (await ask<{ token: string }>(`/v1/shop/orders/${order.id}/channel`, { method: 'POST' })).token,
    hear: ({ data }) => (data?.state ? show(String(data.state)) : look()),
    missed: look,
  });
  return root;
}
