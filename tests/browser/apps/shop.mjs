// The shop: one adds and takes in, the other buys: with a card that is declined, then not after all, then with a good one. Both see
// what is left. What was bought is sent, and what is sold is shown in another language.
import { languages } from './languages.mjs';
import { parcels } from './parcels.mjs';
import { looked, report } from './people.mjs';

export async function shop(boss, ben) {
  await boss.go('/shop');
  await boss.at('empty').waitFor();
  await looked(boss, 'shop-empty');
  await boss.at('to-new').click();
  await boss.at('product-title').fill('Tripod');
  await boss.at('product-about').fill('Stands still, so that the picture does.\nThree legs of ash, a head of brass.');
  await boss.at('product-category').fill('Stands');
  await boss.at('variant-more').click();
  for (const [n, [title, price, units]] of [['Small', '49.90', '6'], ['Large', '79.90', '2']].entries()) {
    await boss.at('variant-title').nth(n).fill(title);
    await boss.at('product-price').nth(n).fill(price);
    await boss.at('product-units').nth(n).fill(units);
  }
  await looked(boss, 'shop-new');
  await boss.at('product-add').click();
  await boss.text('stock', '6 in stock');

  await ben.go('/shop');
  await ben.text('stock', '8 in stock');
  await looked(ben, 'shop-narrow');
  await find(ben);
  await ben.at('to-product').click();
  await ben.text('stock', '6 in stock');
  await ben.at('quantity').fill('2');
  await ben.at('add').click();
  await ben.text('basket-count', '2');
  await looked(ben, 'product-narrow');
  await ben.at('to-basket').click();
  const kept = ben.page.waitForResponse((answer) => answer.request().method() === 'PUT' && answer.url().includes('/v1/shop/carts/'));
  await ben.page.getByRole('button', { name: /One less/ }).click();
  await kept;
  await anew(ben);
  await looked(ben, 'basket-narrow');
  await ben.at('checkout').click();
  await buy(boss, ben);
  await parcels(boss, ben);
  await history(boss, ben);
  await languages(boss, ben);
}

/** A page that is loaded anew asks for what is in the basket, and for nothing else of the catalog. */
async function anew(ben) {
  const asked = [];
  const note = (request) => void (/\/v1\/shop\/(products|variants)/.test(request.url()) && asked.push(new URL(request.url()).pathname.split('/')[3]));
  ben.page.on('request', note);
  await ben.go('/shop/basket');
  await ben.text('total', '49.90');
  await ben.text('basket-line', 'Tripod, Small');
  ben.page.off('request', note);
  report.asked_anew = asked;
}

/** By a word with two letters in each other's place, and by a facet; and back to all. */
async function find(ben) {
  await ben.at('shop-search').fill('tripdo');
  await ben.text('shop-total', '1 product');
  await ben.page.getByText('Filter', { exact: true }).click();
  await ben.at('facet-category').check();
  await ben.at('shop-clear').waitFor();
  await looked(ben, 'shop-found-narrow');
  await ben.at('shop-search').fill('nothing of the kind');
  await ben.at('none').waitFor();
  await ben.go('/shop');
  await ben.text('stock', '8 in stock');
}

const state = ({ page }, wanted) => page.locator(`[data-testid="order"][data-state="${wanted}"]`).waitFor();

async function buy(boss, ben) {
  await state(ben, 'reserved');
  await boss.text('stock', 'Only 5 left');
  await ben.text('held', ':');
  await looked(ben, 'order-held-narrow');
  await ben.at('card').filter({ hasText: 'without money' }).click();
  await ben.at('pay').click();
  await state(ben, 'released');
  await ben.text('order-state', 'Declined');
  await boss.text('stock', '6 in stock');
  await looked(ben, 'order-declined-narrow');
  await ben.at('again').click();
  await state(ben, 'reserved');
  await boss.text('stock', 'Only 5 left');
  await ben.at('cancel').click();
  await state(ben, 'canceled');
  await boss.text('stock', '6 in stock');
  await looked(ben, 'order-canceled-narrow');
  await ben.at('again').click();
  await state(ben, 'reserved');
  await ben.at('pay').click();
  await state(ben, 'confirmed');
  await boss.text('stock', 'Only 5 left');
  report.sold = await boss.at('stock').first().innerText();
  await looked(ben, 'order-paid-narrow');
}

async function history(boss, ben) {
  await ben.at('to-orders').click();
  await ben.at('orders-entry').nth(1).waitFor();
  report.orders = await ben.at('entry-state').allInnerTexts();
  await looked(ben, 'orders-narrow');
  await ben.at('orders-entry').first().getByRole('link').click();
  await ben.text('order-lines', 'Tripod, Small');
  await ben.go('/shop');
  await ben.at('to-product').click();
  await boss.at('stock-units').first().fill('10');
  await boss.at('stock-add').first().click();
  await ben.text('stock', '15 in stock');
  await looked(boss, 'product');
  await boss.go('/shop');
  await boss.text('stock', '17 in stock');
  await looked(boss, 'shop');
}
