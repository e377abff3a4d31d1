// The shop, conversations and the feed, by two people on two edges, each in a window of their own.
// usage: node apps.mjs EDGE_A EDGE_B PICTURES. The last line of output is JSON for the story to assert.
import { launched } from './chromium.mjs';
import axe from 'axe-core';
import { mkdirSync } from 'node:fs';

const [edgeA, edgeB, pictures] = process.argv.slice(2);
mkdirSync(pictures, { recursive: true });

const browser = await launched();
const report = { errors: [], serious: [] };

async function person(edge, viewport) {
  const page = await (await browser.newContext({ viewport })).newPage();
  page.setDefaultTimeout(30_000);
  page.on('pageerror', (error) => report.errors.push(String(error)));
  return { page, go: (path) => page.goto(`${edge}${path}`, { waitUntil: 'load' }) };
}

async function signUp({ page, go }, handle) {
  await go('/feed');
  await page.getByTestId('door').click();
  await page.getByTestId('handle').fill(handle);
  await page.getByTestId('password').fill('correct horse');
  await page.getByTestId('sign-up').click();
  await page.getByTestId('who').waitFor();
}

/** What axe calls serious or worse, and whether the page is wider than its window. */
async function looked({ page }, name) {
  await page.evaluate(axe.source);
  const found = await page.evaluate(() => window.axe.run({ resultTypes: ['violations'] }));
  for (const { id, impact, nodes } of found.violations) {
    if (impact === 'serious' || impact === 'critical') report.serious.push(`${name}: ${id}: ${nodes[0].html}`);
  }
  const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
  if (wide) report.serious.push(`${name}: wider than its window`);
  await page.screenshot({ path: `${pictures}/${name}.png` });
}

const text = (page, id, wanted) => page.waitForFunction(([id, wanted]) =>
  [...document.querySelectorAll(`[data-testid="${id}"]`)].some((node) => node.textContent.includes(wanted)), [id, wanted]);

try {
  const boss = await person(edgeA, { width: 1280, height: 860 });
  const ben = await person(edgeB, { width: 390, height: 844 });
  await signUp(boss, 'boss');
  await signUp(ben, 'ben');

  // The shop: one adds, the other buys, and both see what is left.
  await boss.go('/shop');
  await boss.page.getByTestId('product-title').fill('Tripod');
  await boss.page.getByTestId('product-about').fill('Stands still, so that the picture does.');
  await boss.page.getByTestId('product-price').fill('49.90');
  await boss.page.getByTestId('product-units').fill('6');
  await boss.page.getByTestId('product-add').click();
  await text(boss.page, 'stock', '6 in stock');
  await ben.go('/shop');
  await text(ben.page, 'stock', '6 in stock');
  await ben.page.getByTestId('add').click();
  await ben.page.getByTestId('checkout').click();
  await ben.page.locator('[data-testid="order"][data-state="confirmed"]').waitFor();
  await text(boss.page, 'stock', 'Only 5 left');
  report.sold = await ben.page.getByTestId('stock').innerText();
  await looked(boss, 'shop');
  await looked(ben, 'shop-narrow');

  // Conversations: each hears the other, across the edges.
  await ben.go('/chat');
  await ben.page.getByTestId('talk-to').fill('boss');
  await ben.page.getByTestId('begin').click();
  await ben.page.getByTestId('message').fill('Is it sturdy?');
  await ben.page.getByTestId('send').click();
  await text(ben.page, 'said', 'Is it sturdy?');
  await boss.go('/chat');
  await boss.page.getByTestId('room').first().click();
  await text(boss.page, 'said', 'Is it sturdy?');
  await boss.page.getByTestId('message').fill('It stood through a storm.');
  await boss.page.getByTestId('send').click();
  await text(ben.page, 'said', 'It stood through a storm.');
  report.waits = await ben.page.locator('.said .waits').count();
  await looked(boss, 'chat');
  await looked(ben, 'chat-narrow');

  // The feed: a post comes, and its likes are pushed to whoever looks at it.
  await boss.go('/feed');
  await boss.page.getByTestId('post-text').fill('The shop is open: tripods, while there are some.');
  await boss.page.getByTestId('post').click();
  await text(boss.page, 'feed-post', 'tripods');
  await ben.go('/feed');
  await ben.page.getByTestId('follow-handle').fill('boss');
  await ben.page.getByTestId('follow').click();
  await text(ben.page, 'feed-post', 'tripods');
  await ben.page.getByTestId('like').click();
  await text(boss.page, 'likes', '1');
  report.likes = await boss.page.getByTestId('likes').innerText();
  await looked(boss, 'feed');
  await looked(ben, 'feed-narrow');
} catch (error) {
  report.failure = String(error);
  for (const [n, context] of browser.contexts().entries()) await context.pages()[0]?.screenshot({ path: `${pictures}/apps-failed-${n}.png` });
}
await browser.close();
console.log(JSON.stringify(report));
