// The library, as a person keeps it: searched, tagged, hidden, deleted and brought back; a private video is watched.
// usage: node library.mjs EDGE PICTURES FILE; FILE is harbour.mp4 with its index at its end, uploaded by the page. The last line of output is JSON for the story to assert.
import { looked } from './axe.mjs';
import { launched, play } from './chromium.mjs';
import { mkdirSync } from 'node:fs';

const [edge, pictures, file] = process.argv.slice(2);
mkdirSync(pictures, { recursive: true });

const browser = await launched();
const context = await browser.newContext({ viewport: { width: 1280, height: 860 } });
const page = await context.newPage();
page.setDefaultTimeout(20_000);
const errors = [];
page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
page.on('pageerror', (error) => errors.push(String(error)));

const report = { serious: [] };
const card = (title) => page.getByTestId('video-card').filter({ has: page.locator('h3', { hasText: title }) });
const shown = () => page.getByTestId('video-card').locator('h3').allInnerTexts();
const count = (wanted) => page.waitForFunction((n) => document.querySelectorAll('[data-testid="video-card"]').length === n, wanted);
try {
  report.uploads = [];
  page.on('request', (request) => {
    if (!request.url().includes('/v1/uploads') || !['POST', 'PATCH'].includes(request.method())) return;
    const concat = request.headers()['upload-concat'] ?? '';
    report.uploads.push([request.method(), concat.split(';')[0], request.headers()['upload-length'] ?? '', new URL(request.url()).pathname, concat]);
  });
  await page.goto(`${edge}/`, { waitUntil: 'load' });
  await count(2);
  await page.getByTestId('upload-input').setInputFiles(file);
  await page.locator('[data-testid="video-card"][data-state="ready"]').nth(2).waitFor({ timeout: 120_000 });
  await count(3);
  report.uploaded = await card('harbour').getAttribute('data-id');

  await card('harbour').getByTestId('edit').click();
  await page.getByLabel('Title').fill('Hafen bei Nacht: Über die Brücke');
  await page.getByLabel('Description').fill('The harbour at night, from the bridge.');
  await page.getByLabel('Tags').fill('Night, road trip');
  await page.screenshot({ path: `${pictures}/library-edit.png` });
  await looked(page, 'library-edit', report.serious);
  await page.getByTestId('edit-save').click();
  await card('Hafen').getByTestId('tag').first().waitFor();
  report.tags = await card('Hafen').getByTestId('tag').allInnerTexts();

  await card('family').getByTestId('edit').click();
  await page.getByTestId('edit-visibility').selectOption('private');
  await page.getByTestId('edit-save').click();
  await card('family').getByTestId('visibility').waitFor();
  report.badge = await card('family').getByTestId('visibility').innerText();
  await card('garden').getByTestId('edit').click();
  await page.getByTestId('edit-visibility').selectOption('unlisted');
  await page.getByLabel('Tags').fill('garden');
  await page.getByTestId('edit-save').click();
  await card('garden').getByTestId('visibility').waitFor();
  await page.waitForTimeout(400); // let the posters be drawn for the picture
  await page.screenshot({ path: `${pictures}/library-cards.png` });
  await looked(page, 'library-cards', report.serious);

  await page.getByTestId('search').fill('UBER brucke');
  await count(1);
  report.searched = await shown();
  await page.getByTestId('search').fill('nothing like it');
  await page.getByTestId('none').waitFor();
  await page.getByTestId('search').fill('');
  await count(3);
  await card('Hafen').getByTestId('tag').first().click();
  await count(1);
  report.tagged = [await shown(), new URL(page.url()).search];
  await page.getByTestId('chosen-tags').getByRole('button').click();
  await count(3);
  await page.getByTestId('show-public').click();
  await count(1);
  await page.getByTestId('show-all').click();
  await count(3);

  await card('garden').getByTestId('delete').click();
  await page.getByTestId('toast').waitFor();
  await count(2);
  await page.screenshot({ path: `${pictures}/library-undo.png` });
  await page.getByTestId('undo').click();
  await count(3);
  report.undone = await shown();
  await card('garden').getByTestId('delete').click();
  await count(2);
  await page.getByTestId('show-deleted').click();
  await page.getByTestId('restore').waitFor();
  report.deleted = await shown();
  await page.getByTestId('restore').click();
  await count(0);
  await page.getByTestId('show-all').click();
  await count(3);

  const phone = await context.newPage();
  await phone.setViewportSize({ width: 360, height: 780 });
  await phone.goto(`${edge}/`, { waitUntil: 'load' });
  await phone.getByTestId('video-card').first().waitFor();
  await phone.waitForTimeout(600);
  report.phone = await phone.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  await phone.screenshot({ path: `${pictures}/phone-cards.png`, fullPage: true });
  await looked(phone, 'phone-cards', report.serious);
  await phone.getByTestId('edit').first().click();
  await phone.waitForTimeout(200);
  report.phoneEdit = await phone.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  await phone.screenshot({ path: `${pictures}/phone-edit.png` });
  await looked(phone, 'phone-edit', report.serious);
  await phone.close();

  const media = [];
  const id = await card('family').getAttribute('data-id');
  page.on('response', (answer) => answer.url().includes(`/v/${id}/`) && media.push([answer.status(), answer.url().includes('sluice-token=')]));
  await card('family').locator('a').first().click();
  await page.waitForURL(/\/watch\//);
  const player = page.locator('#player');
  await player.waitFor({ state: 'attached' });
  await play(player);
  await page.waitForFunction(() => document.querySelector('#player').currentTime > 1, null, { timeout: 30_000 });
  report.played = await player.evaluate((video) => video.currentTime);
  report.media = media;
  await page.screenshot({ path: `${pictures}/watch-private.png` });
} catch (error) {
  await page.screenshot({ path: `${pictures}/library-failure.png` }).catch(() => {});
  report.failure = String(error);
} finally {
  report.errors = errors;
  await browser.close();
}
console.log(JSON.stringify(report));
process.exit(report.failure ? 1 : 0);
