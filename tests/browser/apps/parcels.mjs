// A parcel of what was bought: an administrator moves it on at one edge, and its buyer, at another, sees where it is as it goes.
import { looked, lookedWide, report, sent } from './people.mjs';

const CODE = 'PP0123456789DE';
/** Each state after the first, and its word on the page. */
const MOVES = [['handed-over', 'With the carrier'], ['in-transit', 'On its way'], ['delivered', 'Delivered']];

/** `ben` has a confirmed order open; nothing of it was sent. */
export async function parcels(boss, ben) {
  const loads = [];
  const note = (request) => void (request.isNavigationRequest() && loads.push(request.url()));
  ben.page.on('request', note);
  const order = `orders/${new URL(ben.page.url()).pathname.split('/')[3]}/parcels`;
  const { id } = await sent(boss, 'POST', order, { carrier: 'Parcel Post', code: CODE });
  await ben.text('parcel-state', 'Packed');
  for (const [state, word] of MOVES) {
    await sent(boss, 'PATCH', `${order}/${id}`, { state });
    await ben.text('parcel-state', word);
    await ben.text('parcel-told', `${CODE}: ${word}`);
    if (state === 'in-transit') await looked(ben, 'shop-parcels-under-way-narrow');
  }
  const parcel = ben.page.getByRole('region', { name: 'Parcels' }).getByTestId('parcel');
  const reached = parcel.getByRole('listitem').filter({ has: ben.page.locator('time') });
  report.parcel_steps = await reached.locator('span').evaluateAll((words) => words.map((node) => node.firstChild.textContent));
  report.parcel_goods = await parcel.getByText('1 ×').innerText();
  report.parcel_order = await ben.at('order-state').innerText();
  await parcel.scrollIntoViewIfNeeded();
  await looked(ben, 'shop-parcels-narrow');
  await lookedWide(ben, 'shop-parcels');
  ben.page.off('request', note);
  report.parcel_loads = loads;
}
