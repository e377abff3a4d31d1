// What an administrator of the shop does here: adds a product, with its stock.
import { el, say } from './dom';
import { ask } from './session';

export function newProduct(done: () => void): HTMLElement {
  const field = (id: string, label: string, attributes: Record<string, string | boolean>) => {
    const input = el('input', { id, required: true, 'data-testid': id, ...attributes });
    return { input, root: el('div', { class: 'field' }, el('label', { for: id }, label), input) };
  };
  const title = field('product-title', 'Title', { maxlength: '200' });
  const about = field('product-about', 'Description', { required: false, maxlength: '2000' });
  const price = field('product-price', 'Price in EUR', { type: 'number', min: '0.01', step: '0.01' });
  const units = field('product-units', 'Units', { type: 'number', min: '1', step: '1' });
  const wrong = el('p', { class: 'why', role: 'alert' });
  const button = el('button', { type: 'submit', 'data-testid': 'product-add' }, 'Add');
  const form = el('form', { class: 'panel composer', 'aria-label': 'New product' }, el('h2', { style: 'margin: 0' }, 'New product'), title.root, about.root, price.root, units.root, wrong, button);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    button.disabled = true;
    const variant = { sku: crypto.randomUUID(), title: 'Standard', prices: { de: Math.round(Number(price.input.value) * 100) } };
    ask<{ variants: string[] }>('/v1/shop/products', { method: 'POST', body: { title: title.input.value, description: about.input.value, variants: [variant] }, key: variant.sku })
      .then(({ variants }) => ask(`/v1/shop/stock/${variants[0]}`, { method: 'POST', body: { quantity: Number(units.input.value) }, key: `${variant.sku}-stock` }))
      .then(() => {
        form.reset();
        done();
      })
      .catch((error: Error) => say(wrong, error.message))
      .finally(() => (button.disabled = false));
  });
  return form;
}
