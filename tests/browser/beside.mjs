// What lies beside a film, on the pages: pictures of the seek bar, chapters, fast forward, downloads, a card that moves.
// usage: node beside.mjs EDGE VIDEO PICTURES. The last line of output is JSON for the story to assert.
import { launched, play } from './chromium.mjs';
import { mkdirSync } from 'node:fs';

const [edge, id, pictures] = process.argv.slice(2);
mkdirSync(pictures, { recursive: true });

const browser = await launched();
const page = await (await browser.newContext({ viewport: { width: 1280, height: 900 } })).newPage();
page.setDefaultTimeout(20_000);
const errors = [];
page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
page.on('pageerror', (error) => errors.push(String(error)));

const report = {};
try {
  await page.goto(`${edge}/`, { waitUntil: 'load' });
  await page.locator(`[data-id="${id}"] a.poster`).hover();
  await page.getByTestId('glimpse').waitFor({ state: 'attached' });
  await page.waitForFunction(() => document.querySelector('[data-testid="glimpse"]')?.currentTime > 0.5);
  report.glimpse = await page.getByTestId('glimpse').evaluate((film) => [film.videoWidth > 0, film.muted, Math.round(film.duration)]);
  await page.screenshot({ path: `${pictures}/preview.png` });

  await page.goto(`${edge}/watch/${id}`, { waitUntil: 'load' });
  const player = page.locator('#player');
  await page.getByTestId('trick-forward').waitFor();
  await play(player);
  await page.waitForFunction(() => document.querySelector('#player').currentTime > 0.3);
  report.tracks = await player.evaluate((video) => [...video.textTracks].map((track) => track.kind).sort());
  report.downloads = await page.getByTestId('download').evaluateAll((all) => all.map((one) => new URL(one.href).pathname.split('/').pop()));
  const bar = await page.locator('media-time-range').boundingBox();
  await page.mouse.move(bar.x + bar.width * 0.6, bar.y + bar.height / 2);
  await page.waitForTimeout(500); // let the picture be drawn
  await page.screenshot({ path: `${pictures}/seek.png` });

  // At once, however slow this machine: a short film is over in a second at this speed.
  [report.speed, report.paused] = await page.evaluate(() => {
    const of = (id) => document.querySelector(`[data-testid="${id}"]`);
    of('trick-forward').click();
    of('trick-forward').click();
    const seen = [of('trick-speed').textContent, document.querySelector('#player').paused];
    of('trick').click();
    return seen;
  });
  await page.getByTestId('trick').waitFor({ state: 'hidden' });
  const begun = await player.evaluate((video) => { video.pause(); video.currentTime = 1; return 1; });
  await page.getByTestId('trick-forward').click();
  await page.waitForFunction(() => Number(document.querySelector('[data-testid="trick"]').dataset.tile) >= 2);
  await page.screenshot({ path: `${pictures}/trick.png` });
  await page.getByTestId('trick').evaluate((over) => over.click());
  await page.getByTestId('trick').waitFor({ state: 'hidden' });
  report.at = (await player.evaluate((video) => video.currentTime)) - begun;
  await player.evaluate((video) => { video.pause(); video.currentTime = 8; });
  await page.getByTestId('trick-back').click();
  await page.waitForFunction(() => document.querySelector('[data-testid="trick"]').hidden && document.querySelector('#player').currentTime < 6, null, { timeout: 30_000 });
  await page.screenshot({ path: `${pictures}/beside.png`, fullPage: true });
} catch (error) {
  await page.screenshot({ path: `${pictures}/beside-failure.png` }).catch(() => {});
  report.failure = String(error);
} finally {
  report.errors = errors;
  await browser.close();
}
console.log(JSON.stringify(report));
process.exit(report.failure ? 1 : 0);
