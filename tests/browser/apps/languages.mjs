// A product in another language than its own: an administrator writes its texts, and a buyer chooses.
import { looked, lookedWide, report, sent } from './people.mjs';

/** `ben` looks at a product of two variants, which has texts in no other language. Afterwards all is shown as it was written. */
export async function languages(boss, ben) {
  const id = new URL(ben.page.url()).pathname.split('/')[3];
  const small = await ben.at('variant').first().getByRole('radio').getAttribute('value');
  const texts = { title: 'Stativ', description: 'Es steht still, damit es auch das Bild tut.', variants: { [small]: 'Klein' } };
  await sent(boss, 'PUT', `products/${id}/texts/de`, texts);
  await ben.go('/shop');
  await ben.text('to-product', 'Tripod');
  const choice = ben.page.getByRole('combobox', { name: 'Language of products' });
  await choice.selectOption({ label: 'Deutsch' });
  await ben.text('to-product', 'Stativ');
  await ben.text('stock', '17 in stock');
  await looked(ben, 'shop-language-narrow');
  await lookedWide(ben, 'shop-language');
  report.in_german = await called(ben);

  await ben.page.getByRole('link', { name: 'Products', exact: true }).click();
  // The browser keeps what was chosen.
  await ben.text('to-product', 'Stativ');
  await choice.selectOption({ label: 'As written' });
  await ben.text('to-product', 'Tripod');
  report.as_written = await called(ben);
}

/** What the one product of the list is called there, and by itself, each with the language that it is said to be in; and its variants. */
async function called({ at, page }) {
  const said = (node) => [node.textContent, node.closest('[lang]').lang];
  const listed = await at('to-product').evaluate(said);
  await at('to-product').click();
  const title = page.getByRole('heading', { level: 1 });
  await at('product-page').waitFor();
  return [listed, await title.evaluate(said), await at('variant').locator('span:first-of-type').allInnerTexts()];
}
