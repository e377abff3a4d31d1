// A waiting room of the shop: somebody was let in before, so the next one waits, has the place still when the page is loaded anew,
// and is let in when there is more.
import { looked, report } from './people.mjs';

export async function room(boss, ben) {
  const { product, variant } = await boss.page.evaluate(opened);
  for (const { page } of [boss, ben]) await page.evaluate(isOpen, `shop.${variant}`);
  await boss.page.evaluate(letIn, `shop.${variant}`);
  await ben.go(`/shop/products/${product}`);
  await ben.at('add').click();
  await ben.page.getByText('1 × Lantern in the basket').waitFor();
  await ben.at('to-basket').click();
  await ben.at('checkout').click();
  await ben.text('queue-place', 'You are next.');
  await looked(ben, 'queue-narrow');
  const ticket = await ben.page.evaluate(kept);
  await ben.go('/shop/basket');
  await ben.text('queue-place', 'You are next.');
  report.same_ticket = ticket !== undefined && ticket === (await ben.page.evaluate(kept));
  await boss.page.evaluate(more, variant);
  await ben.page.locator('[data-testid="order"][data-state="reserved"]').waitFor();
  report.let_in = await ben.at('order-lines').innerText();
  await left(ben, product);
}

/** Who was let in once waits again for another, until one does not want to any more. */
async function left(ben, product) {
  await ben.go(`/shop/products/${product}`);
  await ben.at('add').click();
  await ben.page.getByText('1 × Lantern in the basket').waitFor();
  await ben.at('to-basket').click();
  await ben.at('checkout').click();
  await ben.text('queue-place', 'You are next.');
  await ben.at('queue-leave').click();
  await ben.at('queue').waitFor({ state: 'hidden' });
  report.left = (await ben.page.evaluate(kept)) === undefined && (await ben.at('checkout').isEnabled());
}

// What follows runs in a page.

/** One lantern, with a room in front of it. */
async function opened() {
  const send = async (method, path, body) => {
    const answer = await fetch(`/v1/shop/${path}`, { method, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  };
  const one = { sku: 'lantern', title: 'Standard', options: {}, prices: { de: 1990 } };
  const { id, variants: [variant] } = await send('POST', 'products', { title: 'Lantern', variants: [one] });
  await send('POST', `stock/${variant}`, { quantity: 1 });
  await send('PUT', `rooms/${variant}`, { rate: 100, hold_ms: 600_000 });
  return { product: id, variant };
}

/** Waits until the edge knows of a room: nobody is put in line by asking for no ticket. */
async function isOpen(name) {
  const until = Date.now() + 30_000;
  for (;;) {
    const { type } = await (await fetch(`/v1/rooms/${name}/tickets/none`)).json();
    if (type === '/problems/unknown-ticket') return;
    if (Date.now() > until) throw new Error(`the edge does not know of the room: ${type}`);
    await new Promise((done) => setTimeout(done, 20));
  }
}

/** Is let in, and then does nothing. */
async function letIn(name) {
  const { ticket } = await (await fetch(`/v1/rooms/${name}/tickets`, { method: 'POST' })).json();
  for (let n = 0; n < 3; n += 1) {
    const { state } = await (await fetch(`/v1/rooms/${name}/tickets/${ticket}?wait=10`)).json();
    if (state === 'admitted') return;
  }
  throw new Error('nobody is let in');
}

async function more(variant) {
  const answer = await fetch(`/v1/shop/stock/${variant}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"quantity":1}' });
  if (!answer.ok) throw new Error(`stock: ${answer.status}`);
}

/** The ticket that the tab has. */
function kept() {
  const [place] = Object.values(JSON.parse(sessionStorage.getItem('sluice-line') ?? '{}').places ?? {});
  return place?.ticket;
}
