// The shop: products whose stock is pushed, a basket that is kept, orders that are followed as they go.
import { el, say } from '../dom';
import { counted } from '../format';
import { me, type Me } from '../session';
import { empty, views, type View } from '../views';
import { newProduct } from './admin';
import { basket } from './basket';
import { basketPage } from './basket-page';
import { grid } from './grid';
import { orderPage } from './order-page';
import { ordersPage } from './orders-page';
import { productPage } from './product-page';

/** A page of the shop, and who looks at it. */
export interface Shopping extends View {
  mine: Me | null;
}

export async function shop(main: HTMLElement): Promise<void> {
  const mine = await me();
  views(main, (place, view) => {
    const body = el('div', { class: 'shop-body' });
    view.main.append(bar(place, view, mine), body);
    return page(place, { ...view, main: body, mine });
  });
}

function page([room, id]: string[], at: Shopping): Promise<void> | void {
  if (!room) return grid(at);
  if (room === 'products' && id) return productPage(id, at);
  if (room === 'basket') return basketPage(at);
  if (room === 'orders') return id ? orderPage(id, at) : ordersPage(at);
  if (room === 'new' && at.mine?.roles.includes('admin')) return newProduct(at);
  document.title = 'Shop · Sluice';
  at.main.append(empty('Nothing here', 'The shop has no such page.', el('a', { class: 'button', href: '/shop' }, 'To the products')));
}

/** The rooms of the shop. */
function bar([room]: string[], { until }: View, mine: Me | null): HTMLElement {
  const here = (name: string | undefined) => (room === name ? { 'aria-current': 'page' } : {});
  const count = el('span', { class: 'unread', 'data-testid': 'basket-count', hidden: true });
  const way = el('a', { href: '/shop/basket', ...here('basket'), 'data-testid': 'to-basket' }, 'Basket ', count);
  basket.watch(() => {
    const units = basket.count();
    say(count, String(units));
    count.hidden = units === 0;
    way.setAttribute('aria-label', `Basket, ${counted(units, 'item')}`);
  }, until);
  void basket.open().catch(() => undefined);
  return el(
    'nav',
    { class: 'rooms-bar', 'aria-label': 'Shop' },
    el('a', { href: '/shop', ...here(undefined) }, 'Products'),
    mine && el('a', { href: '/shop/orders', ...here('orders'), 'data-testid': 'to-orders' }, 'Orders'),
    mine?.roles.includes('admin') && el('a', { href: '/shop/new', ...here('new'), 'data-testid': 'to-new' }, 'New product'),
    el('span', { class: 'push' }),
    way,
  );
}
