// A person's way through the pages, in a real browser: upload, see it become playable, watch, choose a rung.
// usage: node watch.mjs EDGE FILE PICTURES; the last line of output is JSON for the story to assert.
import { looked } from './axe.mjs';
import { launched, play } from './chromium.mjs';
import { mkdirSync } from 'node:fs';

const [edge, file, pictures] = process.argv.slice(2);
mkdirSync(pictures, { recursive: true });

const browser = await launched();
const context = await browser.newContext({ viewport: { width: 1280, height: 860 } });
const page = await context.newPage();
const errors = [];
page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
page.on('pageerror', (error) => errors.push(String(error)));
page.on('requestfailed', (request) => {
  const why = request.failure()?.errorText ?? '';
  if (!why.includes('ERR_ABORTED')) errors.push(`${request.url()}: ${why}`);
});

const report = { serious: [] };
try {
  await page.goto(`${edge}/`, { waitUntil: 'load' });
  report.title = await page.title();
  await page.getByTestId('upload-input').setInputFiles(file);
  await page.getByTestId('upload-item').first().waitFor({ timeout: 15_000 });
  await page.locator('[data-testid="video-card"][data-state="ready"]').first().waitFor({ timeout: 180_000 });
  await page.waitForTimeout(500); // let the poster be drawn for the picture
  await page.screenshot({ path: `${pictures}/library.png` });
  await looked(page, 'library', report.serious);
  await page.locator('[data-testid="video-card"] a').first().click();
  await page.waitForURL(/\/watch\//);

  const player = page.locator('#player');
  await player.waitFor({ state: 'attached', timeout: 15_000 });
  const time = () => player.evaluate((video) => video.currentTime);
  await play(player);
  await page.waitForFunction(() => document.querySelector('#player').currentTime > 1.5, null, { timeout: 30_000 });
  const earlier = await time();
  await page.waitForFunction((t) => document.querySelector('#player').currentTime > t + 2, earlier, { timeout: 30_000 });
  report.played = await time();
  report.height = await player.evaluate((video) => video.videoHeight);

  const rows = page.getByTestId('segment-row');
  await rows.first().waitFor({ timeout: 15_000 });
  report.segments = await rows.evaluateAll((all) =>
    all.map((row) => ({ edge: row.dataset.edge, cache: row.dataset.cache })));
  report.rungs = await page.getByTestId('rung-select').evaluate((node) =>
    node.options ? [...node.options].map((o) => o.textContent.trim()) : [...node.querySelectorAll('button,[role=radio]')].map((b) => b.textContent.trim()));
  report.buffer = await page.getByTestId('buffer').innerText();
  report.throughput = await page.getByTestId('throughput').innerText();
  await page.screenshot({ path: `${pictures}/watch.png` });
  await looked(page, 'watch', report.serious);

  // The lowest rung is chosen, and becomes the current one.
  report.chosen = await page.getByTestId('rung-select').evaluate((node) => {
    if (node.options) {
      const lowest = [...node.options].filter((o) => /\d/.test(o.textContent)).at(-1);
      node.value = lowest.value;
      node.dispatchEvent(new Event('change', { bubbles: true }));
      return lowest.textContent.trim();
    }
    const buttons = [...node.querySelectorAll('button,[role=radio]')].filter((b) => /\d/.test(b.textContent));
    buttons.at(-1).click();
    return buttons.at(-1).textContent.trim();
  });
  await player.evaluate((video) => { video.currentTime = Math.max(0, video.duration - 6); });
  await page.waitForTimeout(1500);
  report.current = await page.getByTestId('current-rung').innerText();

  for (const [name, path] of [['phone-watch', page.url()], ['phone-library', `${edge}/`]]) {
    const phone = await context.newPage();
    await phone.setViewportSize({ width: 360, height: 780 });
    await phone.goto(path, { waitUntil: 'load' });
    await phone.waitForTimeout(1200);
    report[name] = await phone.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    await phone.screenshot({ path: `${pictures}/${name}.png` });
    await looked(phone, name, report.serious);
    await phone.close();
  }
} catch (error) {
  await page.screenshot({ path: `${pictures}/failure.png` }).catch(() => {});
  report.failure = String(error);
} finally {
  report.errors = errors;
  await browser.close();
}
console.log(JSON.stringify(report));
process.exit(report.failure ? 1 : 0);
