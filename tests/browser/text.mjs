// Subtitles on the watch page: chosen and shown; a file is added.
// usage: node text.mjs EDGE VIDEO PICTURES. The last line of output is JSON for the story to assert.
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
  await page.goto(`${edge}/watch/${id}`, { waitUntil: 'load' });
  const player = page.locator('#player');
  await player.waitFor({ state: 'attached' });
  await page.locator('[data-testid="text-select"] option').nth(2).waitFor({ state: 'attached' });
  report.choices = await page.getByTestId('text-select').locator('option').allInnerTexts();
  await page.getByTestId('text-select').selectOption({ label: 'English' });
  await play(player);
  const active = () => {
    const tracks = [...document.querySelector('#player').textTracks].filter((t) => t.mode === 'showing');
    const cue = tracks.flatMap((t) => [...(t.activeCues ?? [])])[0];
    return cue ? cue.getCueAsHTML().textContent : null;
  };
  report.shown = await (await page.waitForFunction(active)).jsonValue();
  await page.screenshot({ path: `${pictures}/subtitles.png` });

  await page.getByTestId('text-language').fill('de');
  await page.getByTestId('text-file').setInputFiles({ name: 'film.de.srt', mimeType: 'application/x-subrip', buffer: Buffer.from('1\n00:00:01,000 --> 00:00:02,000\nSalz & Pfeffer\n') });
  await page.getByTestId('text-row').nth(2).waitFor();
  report.uploaded = (await page.getByTestId('text-row').locator('strong').allInnerTexts()).sort();
  await page.screenshot({ path: `${pictures}/subtitles-panel.png`, fullPage: true });
} catch (error) {
  await page.screenshot({ path: `${pictures}/text-failure.png` }).catch(() => {});
  report.failure = String(error);
} finally {
  report.errors = errors;
  await browser.close();
}
console.log(JSON.stringify(report));
process.exit(report.failure ? 1 : 0);
