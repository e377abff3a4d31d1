// What an administrator of the shop does here: adds a product with its variants, and takes stock in.
import { list, type Video } from '../api';
import { button, busy, el, field, say } from '../dom';
import { digits, minor } from '../money';
import { once } from '../once';
import { ask } from '../session';
import { unique } from '../unique';
import { go } from '../views';
import { MARKET, search, sold, type Product, type Variant } from './api';
import type { Shopping } from './index';
import { watchStock } from './stock';

interface VariantRow {
  root: HTMLElement;
  read: () => { title: string; price: number; units: number };
}

let rows = 0;

/** A variant to make. One that stands alone needs no name. */
function variantRow(currency: string, alone: () => boolean, gone: (row: VariantRow) => void): VariantRow {
  rows += 1;
  const input = (name: string, attributes: Record<string, string | boolean>) => el('input', { id: `${name}-${rows}`, 'data-testid': name, ...attributes });
  const least = (10 ** -digits(currency)).toFixed(digits(currency));
  const title = input('variant-title', { maxlength: '200', placeholder: 'Standard' });
  const price = input('product-price', { type: 'number', min: least, step: least, required: true, inputmode: 'decimal' });
  const units = input('product-units', { type: 'number', min: '0', step: '1', required: true, inputmode: 'numeric' });
  const remove = button('Remove', { class: 'quiet' }, () => {
    if (!alone()) gone(row);
  });
  const root = el('div', { class: 'variant-row' }, field('Variant', title), field(`Price in ${currency}`, price), field('Units', units), remove);
  const row: VariantRow = { root, read: () => ({ title: title.value.trim() || 'Standard', price: minor(Number(price.value), currency), units: Math.trunc(Number(units.value)) }) };
  return row;
}

export async function newProduct({ main }: Shopping): Promise<void> {
  document.title = 'New product · Sluice';
  const { currency } = await search(new URLSearchParams({ limit: '1' }));
  const title = el('input', { id: 'product-title', required: true, maxlength: '200', 'data-testid': 'product-title' });
  const about = el('textarea', { id: 'product-about', rows: '4', maxlength: '2000', 'data-testid': 'product-about' });
  const category = el('input', { id: 'product-category', maxlength: '100', 'data-testid': 'product-category' });
  const images = el('textarea', { id: 'product-images', rows: '2', placeholder: '/pictures/tripod.jpg', spellcheck: 'false', 'data-testid': 'product-images' });
  const film = el('select', { id: 'product-video', 'data-testid': 'product-video' }, el('option', { value: '' }, 'None'));
  const wrong = el('p', { class: 'why', role: 'alert' });
  const all: VariantRow[] = [];
  const place = el('div', { class: 'composer' });
  const more = () => {
    const row = variantRow(currency, () => all.length === 1, (gone) => {
      all.splice(all.indexOf(gone), 1);
      gone.root.remove();
    });
    all.push(row);
    place.append(row.root);
  };
  more();
  void list({ q: '', tags: [], shown: 'public' }, null, new AbortController().signal).then(
    ({ videos }) => film.append(...videos.filter(({ playable }) => playable).map((video: Video) => el('option', { value: video.id }, video.title))),
    () => undefined,
  );
  const submit = el('button', { type: 'submit', 'data-testid': 'product-add' }, 'Add the product');
  const form = el(
    'form',
    { class: 'panel composer narrow', 'aria-label': 'New product' },
    field('Title', title),
    field('Description', about),
    field('Category', category),
    field('Pictures', images, 'One address a line: paths of this site, or https.'),
    field('Film', film, 'A public video of the library.'),
    el('h2', {}, 'Variants'),
    place,
    button('Another variant', { class: 'quiet', 'data-testid': 'variant-more' }, more),
    wrong,
    el('div', { class: 'row' }, submit),
  );
  // Sent again after a cut it is the same product.
  const key = unique();
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    void busy(submit, wrong, async () => {
      const variants = all.map((row) => row.read());
      const pictures = images.value.split('\n').map((line) => line.trim()).filter(Boolean);
      const body = {
        title: title.value,
        description: about.value,
        ...(category.value.trim() ? { category: category.value.trim() } : {}),
        images: pictures,
        ...(film.value ? { video: film.value } : {}),
        variants: variants.map((variant, n) => ({ sku: `${key}-${n}`, title: variant.title, prices: { [MARKET]: variant.price } })),
      };
      const made = await ask<{ id: string; variants: string[] }>('/v1/shop/products', { method: 'POST', body, key });
      for (const [n, id] of made.variants.entries()) {
        const units = variants[n]?.units ?? 0;
        if (units > 0) await receive(id, units, `${key}-stock-${n}`);
      }
      go(`/shop/products/${made.id}`);
    });
  });
  main.append(el('h1', {}, 'New product'), form);
}

const receive = (variant: string, quantity: number, key: string): Promise<unknown> => ask(`/v1/shop/stock/${variant}`, { method: 'POST', body: { quantity }, key });

interface Entries {
  available: number;
  reserved: number;
  sold: number;
}

/** What there is of each variant, and what comes in. */
export function stockIn(product: Product, until: AbortSignal): HTMLElement {
  return el(
    'section',
    { class: 'panel stock-in', 'aria-label': 'Stock' },
    el('h2', {}, 'Stock'),
    el('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Stock of each variant' }, el('table', {}, el('thead', {}, el('tr', {}, ...['Variant', 'Available', 'Reserved', 'Sold', 'Comes in'].map((head) => el('th', { scope: 'col' }, head)))), el('tbody', {}, ...sold(product).map((variant) => stockRow(variant, until))))),
  );
}

function stockRow({ id, title }: Variant, until: AbortSignal): HTMLElement {
  const [available, reserved, done] = [el('td', { 'data-testid': 'available' }), el('td'), el('td')];
  const look = () => ask<Entries>(`/v1/shop/stock/${id}/entries`).then((now) => {
    say(available, String(now.available));
    say(reserved, String(now.reserved));
    say(done, String(now.sold));
  }, () => undefined);
  watchStock(id, until, () => void look());
  const units = el('input', { type: 'number', min: '1', step: '1', required: true, 'aria-label': `Units of ${title} that came in`, 'data-testid': 'stock-units' });
  const wrong = el('span', { class: 'why', role: 'alert' });
  const add = el('button', { type: 'submit', class: 'quiet', 'data-testid': 'stock-add' }, 'Take in');
  const form = el('form', { class: 'row tight' }, units, add, wrong);
  // What came in comes in once, however often it is sent.
  const asOne = once();
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    void busy(add, wrong, () => asOne(Number(units.value), (quantity, key) => receive(id, quantity, key)).then(() => {
      form.reset();
      return look();
    }));
  });
  return el('tr', {}, el('th', { scope: 'row' }, title), available, reserved, done, el('td', {}, form));
}
