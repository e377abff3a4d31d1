// Who is in the stories of the apps: a window each, and what is looked at in it.
import axe from 'axe-core';

/** What the stories found, for the assertions. */
export const report = { errors: [], serious: [] };

export async function person(browser, edge, viewport, pictures) {
  const page = await (await browser.newContext({ viewport, reducedMotion: 'reduce' })).newPage();
  page.setDefaultTimeout(30_000);
  page.on('pageerror', (error) => report.errors.push(String(error)));
  const at = (id) => page.getByTestId(id);
  /** Waits until one of the elements of a name says what is wanted. */
  const text = (id, wanted) => page.waitForFunction(([id, wanted]) =>
    [...document.querySelectorAll(`[data-testid="${id}"]`)].some((node) => node.textContent.includes(wanted)), [id, wanted]);
  return { page, at, text, pictures, go: (path) => page.goto(`${edge}${path}`, { waitUntil: 'load' }) };
}

export async function signUp({ at, go }, handle) {
  await go('/feed');
  await at('door').click();
  await at('handle').fill(handle);
  await at('password').fill('correct horse');
  await at('sign-up').click();
  await at('who').waitFor();
}

/** What axe calls serious or worse, and whether the page is wider than its window. */
export async function looked({ page, pictures }, name) {
  await page.evaluate(axe.source);
  const found = await page.evaluate(() => window.axe.run({ resultTypes: ['violations'] }));
  for (const { id, impact, nodes } of found.violations) {
    if (impact === 'serious' || impact === 'critical') report.serious.push(`${name}: ${id}: ${nodes[0].html} ${nodes[0].any[0]?.message ?? ''}`);
  }
  const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
  if (wide) report.serious.push(`${name}: wider than its window`);
  await page.screenshot({ path: `${pictures}/${name}.png` });
}
