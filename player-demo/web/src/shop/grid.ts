// What there is: a card for each product, with its stock as it is now.
import { button, el, say } from '../dom';
import { hue } from '../format';
import { live } from '../live';
import { money } from '../money';
import { picture } from '../picture';
import { turns } from '../turns';
import { empty } from '../views';
import { product, search, sold, type Catalog, type Listed } from './api';
import { basket } from './basket';
import { finder } from './finder';
import type { Shopping } from './index';
import { learn } from './known';
import { stockWord, watchStock } from './stock';

export async function grid({ main, until, mine }: Shopping): Promise<void> {
  document.title = 'Shop · Sluice';
  const cards = el('div', { class: 'grid', 'data-testid': 'products', 'aria-busy': 'true' });
  const more = el('button', { type: 'button', class: 'more quiet', hidden: true }, 'Show more');
  const fresh = el('button', { type: 'button', class: 'fresh', hidden: true }, 'The catalog has changed: show it');
  const told = el('p', { class: 'hidden', role: 'status' });
  const wrong = el('p', { class: 'why', role: 'alert' });
  const none = el('p', { class: 'empty-note', hidden: true, 'data-testid': 'none' }, 'No product matches.');
  const find = finder(() => again());
  const body = el('div', { class: 'shop-find' }, find.root, el('div', { class: 'shop-found' }, fresh, wrong, cards, none, more));
  main.append(el('h1', {}, 'Shop'), el('p', { class: 'dim lead' }, 'Prices with tax. Stock as it is now.'), body, told);
  for (let i = 0; i < 3; i += 1) cards.append(el('div', { class: 'card skeleton', 'aria-hidden': 'true' }));
  let next: string | undefined;
  const inTurn = turns(more);
  const add = (page: Catalog) => {
    say(wrong, '');
    cards.append(...page.products.map((one) => card(one, page.currency, until, told)));
    next = page.next;
    more.hidden = !next;
  };
  const load = () => inTurn(() => search(find.asked()), (page) => {
    if (until.aborted) return;
    cards.replaceChildren();
    cards.removeAttribute('aria-busy');
    fresh.hidden = true;
    find.draw(page);
    add(page);
    none.hidden = page.total > 0;
    if (page.total === 0 && find.asked().size === 0) body.replaceWith(nothing(mine?.roles.includes('admin') ?? false));
  });
  const again = () => void load().catch((error: Error) => {
    // What is shown was found by other words, and does not go on by these.
    more.hidden = true;
    say(wrong, error.message);
  });
  more.addEventListener('click', () => void inTurn(() => search(find.asked(), next), add).catch((error: Error) => say(wrong, error.message)));
  fresh.addEventListener('click', () => again());
  await load();
  const changed = () => void (fresh.hidden = false);
  live.listen('products', { until, hear: changed, missed: changed });
}

function nothing(admin: boolean): HTMLElement {
  return admin
    ? empty('Nothing is sold yet', 'Add the first product: a title, a price, and how many there are.', el('a', { class: 'button', href: '/shop/new' }, 'New product'))
    : empty('Nothing is sold yet', 'Come back later: an administrator adds products here.');
}

/** A card. What there is of it is looked up once it is near the window. */
function card(listed: Listed, currency: string, until: AbortSignal, told: HTMLElement): HTMLElement {
  const { root: word, show } = stockWord();
  const act = el('div', { class: 'row' }, word);
  const price = listed.from === null ? '' : money(listed.from, currency);
  const cost = el('span', { class: 'price' }, price);
  const root = el(
    'article',
    { class: 'card', 'data-testid': 'product', 'data-id': listed.id },
    el('a', { class: 'swatch-link', href: `/shop/products/${listed.id}`, tabindex: '-1', 'aria-hidden': 'true' }, swatch(listed.title, listed.image)),
    el('div', { class: 'card-body' }, el('h2', { lang: listed.language }, el('a', { href: `/shop/products/${listed.id}`, 'data-testid': 'to-product' }, listed.title)), cost, act),
  );
  const dress = async () => {
    const one = learn(await product(listed.id));
    const variants = sold(one);
    const left = new Map<string, number>();
    if (variants.length > 1) cost.prepend(el('span', { class: 'dim' }, 'from '));
    const [only] = variants;
    const add = variants.length === 1 && only
      ? button('Add', { 'data-testid': 'add', class: 'push', 'aria-label': `Add ${one.title} to the basket` }, () => basket.add(only.id, 1).then(() => say(told, `${one.title} is in the basket.`)), told)
      : el('a', { class: 'button quiet-button push', href: `/shop/products/${one.id}` }, `${variants.length} to choose from`);
    act.append(add);
    for (const { id } of variants) {
      watchStock(id, until, (available) => {
        left.set(id, available);
        const sum = [...left.values()].reduce((all, n) => all + n, 0);
        show(sum);
        root.toggleAttribute('data-sold-out', sum === 0);
        if (add instanceof HTMLButtonElement) add.disabled = sum === 0;
      });
    }
  };
  const near = new IntersectionObserver(([entry]) => {
    if (!entry?.isIntersecting) return;
    near.disconnect();
    dress().catch(() => undefined);
  }, { rootMargin: '300px' });
  near.observe(root);
  until.addEventListener('abort', () => near.disconnect(), { once: true });
  return root;
}

/** A product's picture, or a colour of its own. */
export function swatch(title: string, image: string | null | undefined, alt = ''): HTMLElement {
  return el('div', { class: 'swatch', style: `--hue: ${hue(title)}` }, image ? picture(image, alt, '(max-width: 700px) 100vw, 400px') : el('span', { 'aria-hidden': 'true' }, title.slice(0, 1).toUpperCase()));
}
