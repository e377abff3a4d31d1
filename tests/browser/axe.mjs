// A page as those find it who use no mouse or no eyes: what axe has to say of it.
import axe from 'axe-core';

/** Adds to `serious` what axe calls serious or worse, and a page that is wider than its window. */
export async function looked(page, name, serious) {
  await page.evaluate(axe.source);
  const found = await page.evaluate(() => window.axe.run({ resultTypes: ['violations'] }));
  for (const { id, impact, nodes } of found.violations) {
    if (impact === 'serious' || impact === 'critical') serious.push(`${name}: ${id}: ${nodes[0].html} ${nodes[0].any[0]?.message ?? ''}`);
  }
  const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
  if (wide) serious.push(`${name}: wider than its window`);
}
