// Files of a conversation: a picture and a text go across the edges, nobody else has them, and they go with their message.
import { looked, report } from './people.mjs';

/** A picture of 60 by 40 points, as a page makes one. */
const painted = (page) =>
  page.evaluate(() => {
    const canvas = Object.assign(document.createElement('canvas'), { width: 60, height: 40 });
    const ink = canvas.getContext('2d');
    ink.fillStyle = '#c0392b';
    ink.fillRect(10, 10, 40, 20);
    return canvas.toDataURL('image/png').split(',')[1];
  });

/** `boss` has a group open in which `ben` is, and `carl` is not. */
export async function files(boss, ben, carl) {
  await ben.at('room').filter({ hasText: 'Tripods' }).click();
  await ben.text('room-title', 'Tripods');
  const picture = { name: 'tripod.png', mimeType: 'image/png', buffer: Buffer.from(await painted(boss.page), 'base64') };
  const words = { name: 'parts of it.txt', mimeType: 'text/plain', buffer: Buffer.from('three legs\n') };
  await chosen(boss, [picture, words]);
  await boss.at('message').fill('Legs and all.');
  await boss.at('send').click();
  for (const { page } of [boss, ben]) await page.waitForFunction(seen);
  report.picture = await ben.page.locator('[data-testid="attached-picture"] img').evaluate(({ alt, naturalWidth }) => [alt, naturalWidth]);
  const link = ben.at('attached-file');
  report.file = [(await link.innerText()).replace('↓', '').trim(), await link.getAttribute('download')];
  await looked(boss, 'chat-files');
  await looked(ben, 'chat-files-narrow');
  const paths = await ben.page.evaluate(() => [...document.querySelectorAll('.attached[href]')].map((node) => node.getAttribute('href')));
  report.text_of_file = await ben.page.evaluate(async (path) => (await fetch(path)).text(), paths[1]);
  report.of_others = await statuses(carl, paths);
  await boss.at('line').filter({ hasText: 'Legs and all.' }).hover();
  const line = boss.at('line').filter({ hasText: 'Legs and all.' });
  await line.getByTestId('more').click();
  await line.getByTestId('delete-message').click();
  await line.getByTestId('delete-message').click();
  for (const { page } of [boss, ben]) await page.waitForFunction(() => document.querySelector('.said .gone') !== null && document.querySelector('.attached') === null);
  // 410, and 404 once its bytes are swept.
  report.deleted_files = (await statuses(ben, paths)).every((status) => status === 410 || status === 404);
  await alone(boss, ben);
}

/** Three are chosen, and one is taken out again with the keyboard; an eleventh is not taken. */
async function chosen(boss, wanted) {
  const more = Array.from({ length: 9 }, (_, n) => ({ name: `${n}.txt`, mimeType: 'text/plain', buffer: Buffer.from('x') }));
  await boss.at('files').setInputFiles([...wanted, ...more]);
  await boss.page.getByText('A message has 10 files at most.').waitFor();
  await looked(boss, 'chat-files-chosen');
  for (let n = 7; n >= 0; n -= 1) {
    await boss.page.getByRole('button', { name: `Remove ${n}.txt` }).focus();
    await boss.page.keyboard.press('Enter');
  }
  report.chosen = await boss.at('chosen-files').locator('.file-name').allInnerTexts();
}

/** What is dropped on a conversation goes without a word. */
async function alone(boss, ben) {
  await ben.page.evaluate(() => {
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File(['drawn by hand'], 'plan.md', { type: 'text/markdown' }));
    const place = document.querySelector('[data-testid="said"]');
    for (const type of ['dragover', 'drop']) place.dispatchEvent(new DragEvent(type, { bubbles: true, cancelable: true, dataTransfer }));
  });
  await ben.text('chosen-files', 'plan.md');
  await looked(ben, 'chat-files-chosen-narrow');
  await ben.at('send').click();
  await boss.text('attached-file', 'plan.md');
  report.files_left = await ben.at('chosen-files').locator('li').count();
}

const statuses = ({ page }, paths) => page.evaluate((all) => Promise.all(all.map(async (path) => (await fetch(path)).status)), paths);

/** In a page: the picture is there, and not only its place. */
const seen = () => (document.querySelector('[data-testid="attached-picture"] img')?.naturalWidth ?? 0) > 0;
