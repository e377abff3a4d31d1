// The operations page: a viewer looks, an operator drains and purges, an administrator rolls back; on a desk and on a phone.
// usage: node operations.mjs CONTROL EDGES ID PICTURES; EDGES is JSON, ["http://...", ...]; operators' tokens are their names:
// eve (viewer), bob (operator), ann (admin). The last line of output is JSON for the story to assert.
import { launched } from './chromium.mjs';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const [control, edgesJson, id, pictures] = process.argv.slice(2);
const edges = JSON.parse(edgesJson);
mkdirSync(pictures, { recursive: true });
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

const browser = await launched();
const report = { errors: [], refused: 0, axe: {} };

async function opened(width, address) {
  const page = await (await browser.newContext({ viewport: { width, height: 900 }, deviceScaleFactor: 1 })).newPage();
  page.setDefaultTimeout(30_000);
  // That the server refuses what is refused on purpose is told by the browser as an error.
  page.on('console', (message) => {
    if (message.type() !== 'error') return;
    if (/status of 40[13]/.test(message.text())) report.refused += 1;
    else report.errors.push(message.text());
  });
  page.on('pageerror', (error) => report.errors.push(String(error)));
  await page.goto(address, { waitUntil: 'load' });
  return page;
}

/** What axe finds serious or worse. */
async function checked(page, name) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run());
  report.axe[name] = violations.filter(({ impact }) => ['serious', 'critical'].includes(impact)).map(({ id: rule, nodes }) => [rule, nodes.map(({ html }) => html.slice(0, 160)).slice(0, 3)]);
}

/** Viewers: segments of a video through each edge, and questions where to go, until told to stop. */
function traffic() {
  let on = true;
  const get = async (url) => (await fetch(url)).text();
  const one = async (edge, at) => {
    const base = `${edge}/v/${id}/`;
    const lines = (text) => text.split('\n').filter((line) => line && !line.startsWith('#'));
    const [rung] = lines(await get(`${base}master.m3u8`));
    const playlist = new URL(rung, base);
    const segments = lines(await get(playlist)).map((line) => new URL(line, playlist));
    for (let n = at; on; n += 1) {
      const segment = segments[n % segments.length];
      segment.search = new URLSearchParams({ CMCD: `bl=8000,br=800,ot=v,sid="${edge}-${at}"${n === at ? ',su' : ''}` });
      await Promise.all([get(segment), get(`${control}/steer/v/${id}`)]);
      await new Promise((next) => setTimeout(next, 60));
    }
  };
  const all = edges.flatMap((edge, at) => [one(edge, at), one(edge, at + 1)]);
  return async () => {
    on = false;
    await Promise.all(all);
  };
}

const enough = (page) =>
  page.waitForFunction(() => ['egress', 'hits', 'requests', 'steering'].every((key) => {
    const { points, most } = document.querySelector(`[data-testid="chart-${key}"]`)?.dataset ?? {};
    return Number(points) >= 8 && Number(most) > 0;
  }));
const row = (page, node) => page.locator(`tr[data-node="${node}"]`);
const until = (page, node, state) => page.locator(`tr[data-node="${node}"][data-state="${state}"]`).waitFor();

const stop = traffic();
try {
  const viewer = await opened(1440, `${control}/`);
  await viewer.getByTestId('token').fill('mallory');
  await viewer.getByTestId('login').click();
  await viewer.waitForFunction(() => document.querySelector('[data-testid="login-why"]').textContent);
  report.wrong = await viewer.getByTestId('login-why').innerText();
  await checked(viewer, 'login');
  await viewer.screenshot({ path: `${pictures}/operations-login.png` });
  await viewer.getByTestId('token').fill('eve');
  await viewer.keyboard.press('Enter');
  await row(viewer, 'near-b').waitFor();
  report.viewer = {
    me: await viewer.getByTestId('me').innerText(),
    drain: await viewer.getByTestId('drain-near-b').isDisabled(),
    purge: await viewer.getByTestId('purge').isDisabled(),
    rollbacks: await viewer.locator('[data-testid^="rollback-"]').count(),
    server: await viewer.evaluate(async () => (await fetch('/v1/nodes/near-b/drain', { method: 'POST', headers: { authorization: 'Bearer eve' } })).status),
  };
  await viewer.close();

  const page = await opened(1440, `${control}/#token=bob`);
  await row(page, 'near-b').waitFor();
  report.operator = { me: await page.getByTestId('me').innerText(), hash: await page.evaluate(() => location.hash) };
  await enough(page);
  report.tiles = await page.locator('[data-testid^="tile-"]').evaluateAll((all) => all.map((one) => [one.dataset.testid, one.textContent]));
  await page.getByTestId('purge-kind').selectOption('prefixes');
  await page.getByTestId('purge-list').fill(`/v/${id}/`);
  await page.getByTestId('purge').click();
  await page.waitForFunction(() => document.querySelectorAll('[data-testid="purge-result"] li').length > 0);
  report.purged = await page.getByTestId('purge-result').locator('li > span:first-child').allInnerTexts();
  await page.waitForFunction(() => /purge/.test(document.querySelector('[data-testid="audit"]').textContent));

  await page.getByTestId('drain-near-b').click();
  await page.screenshot({ path: `${pictures}/operations-confirm.png` });
  await page.getByTestId('confirm').click();
  await until(page, 'near-b', 'draining');
  report.drained = await page.getByTestId('fleet-state').innerText();
  await page.waitForFunction(() => /drain/.test(document.querySelector('[data-testid="audit"]').textContent));
  await page.getByTestId('decisions').locator('li').first().waitFor();
  await page.waitForFunction(() => document.querySelectorAll('[data-testid="quality"] tbody tr').length >= 2);
  report.quality = await page.getByTestId('quality').locator('tbody th').allInnerTexts();
  await page.evaluate(() => document.activeElement?.blur());
  await checked(page, 'page');
  await page.screenshot({ path: `${pictures}/operations.png`, fullPage: true });
  await page.screenshot({ path: `${pictures}/operations-top.png`, fullPage: true, clip: { x: 0, y: 0, width: 1440, height: 1215 } });
  await page.getByTestId('decisions').locator('button').first().click();
  await page.locator('dialog table tbody tr').first().waitFor();
  report.why = await page.locator('dialog').innerText();
  await checked(page, 'dialog');
  await page.screenshot({ path: `${pictures}/operations-why.png` });
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Sends' }).click();
  report.sorted = await page.locator('th[aria-sort="descending"]').innerText();
  await page.getByTestId('drain-near-b').click();
  await page.getByTestId('confirm').click();
  await until(page, 'near-b', 'ready');
  await page.close();

  const admin = await opened(1440, `${control}/#token=ann`);
  await admin.getByTestId('rollback-1').click();
  await admin.getByTestId('confirm').click();
  await admin.getByTestId('versions').locator('li', { hasText: 'Version 3' }).waitFor();
  report.config = JSON.parse(await admin.getByTestId('config').innerText());
  await admin.close();

  const phone = await opened(390, `${control}/#token=bob`);
  await enough(phone);
  report.phone = await phone.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  await checked(phone, 'phone');
  await phone.screenshot({ path: `${pictures}/operations-phone.png`, fullPage: true });
  await phone.close();
} catch (error) {
  report.failure = String(error);
  for (const context of browser.contexts()) for (const open of context.pages()) await open.screenshot({ path: `${pictures}/operations-failure.png`, fullPage: true }).catch(() => {});
}
await stop().catch((error) => (report.failure ??= `traffic: ${error}`));
await browser.close();
console.log(JSON.stringify(report));
process.exit(report.failure ? 1 : 0);
