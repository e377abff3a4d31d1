// The shop: one adds and takes in, the other buys: with a card that is declined, then with a good one. Both see what is left.
import { looked, report } from './people.mjs';

export async function shop(boss, ben) {
  await boss.go('/shop');
  await boss.at('empty').waitFor();
  await looked(boss, 'shop-empty');
  await boss.at('to-new').click();
  await boss.at('product-title').fill('Tripod');
  await boss.at('product-about').fill('Stands still, so that the picture does.\nThree legs of ash, a head of brass.');
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
  await ben.at('to-product').click();
  await ben.text('stock', '6 in stock');
  await ben.at('quantity').fill('2');
  await ben.at('add').click();
  await ben.text('basket-count', '2');
  await looked(ben, 'product-narrow');
  await ben.at('to-basket').click();
  await ben.page.getByRole('button', { name: /One less/ }).click();
  await ben.text('total', '49.90');
  await looked(ben, 'basket-narrow');
  await ben.at('checkout').click();
  await buy(boss, ben);
  await history(boss, ben);
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
