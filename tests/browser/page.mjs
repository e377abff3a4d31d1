// The watch page plays what is sealed and for everybody, lists each rung once, and plays the sound alone.
// usage: node page.mjs EDGE IDS PICTURES; IDS is JSON: ["ID", ...]. The last line of output is JSON for the story to assert.
import { launched } from './chromium.mjs';
import { mkdirSync } from 'node:fs';

const [edge, ids, pictures] = process.argv.slice(2);
mkdirSync(pictures, { recursive: true });

const browser = await launched();

async function watch(id, at) {
  const page = await (await browser.newContext({ viewport: { width: 1280, height: 860 } })).newPage();
  page.setDefaultTimeout(30_000);
  const [errors, media, keys, log] = [[], [], [], []];
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  page.on('console', (message) => log.push(message.text()));
  page.on('pageerror', (error) => errors.push(String(error)));
  page.on('response', (answer) => {
    const at = new URL(answer.url());
    if (!at.pathname.startsWith(`/v/${id}/`)) return;
    // Where an edge leads on to another, it passes on what the keys' answer left with the browser.
    const brings = at.searchParams.has('sluice-token') && answer.request().redirectedFrom() === null;
    const seen = [at.pathname, answer.status(), brings];
    (/\/keys\/|\/licence$/.test(at.pathname) ? keys : media).push(seen);
  });
  const report = { errors, media, keys };
  try {
    await page.goto(`${edge}/watch/${id}`, { waitUntil: 'load' });
    const player = page.locator('#player');
    await player.waitFor({ state: 'attached' });
    const goesOn = (by) => page.waitForFunction(([from, more]) => {
      const { currentTime, duration, ended } = document.querySelector('#player');
      return currentTime > from + more || ended || currentTime > duration - 0.3;
    }, [by.from, by.more]);
    // Not awaited: its promise has no deadline, what follows has.
    const play = () => player.evaluate((video) => { video.muted = true; video.play().catch((error) => console.warn(String(error))); });
    await play();
    await goesOn({ from: 0, more: 3 });
    report.frames = await player.evaluate((video) => video.getVideoPlaybackQuality().totalVideoFrames);
    report.height = await player.evaluate((video) => video.videoHeight);
    const select = page.getByTestId('rung-select');
    report.rungs = await select.evaluate((node) => [...node.options].map((one) => [one.value, one.textContent]));

    await player.evaluate((video) => { video.pause(); video.currentTime = 1; });
    await select.selectOption('sound');
    await page.waitForFunction(() => document.querySelector('[data-testid="current-rung"]').textContent === 'Audio');
    await play();
    await goesOn({ from: 1, more: 2 });
    report.alone = await player.evaluate((video) => [video.videoHeight, video.currentTime > 1]);
    await page.screenshot({ path: `${pictures}/sound-only-${at}.png` });
    const lowest = report.rungs.filter(([value]) => /^v\d/.test(value)).at(-1)[0];
    await select.selectOption(lowest);
    await page.waitForFunction(() => /\dp/.test(document.querySelector('[data-testid="current-rung"]').textContent));
    report.back = [lowest, await page.getByTestId('current-rung').innerText(), await select.inputValue()];
  } catch (error) {
    report.failure = String(error);
    report.player = await page.evaluate(() => {
      const { currentTime, readyState, paused, ended, duration, error } = document.querySelector('#player') ?? {};
      return { currentTime, readyState, paused, ended, duration, error: error?.message ?? null };
    }).catch(String);
    report.log = log.slice(-20);
    await page.screenshot({ path: `${pictures}/page-failure-${at}.png` }).catch(() => {});
  }
  await page.close();
  return report;
}

// Side by side: each takes as long as it plays.
const reports = await Promise.all(JSON.parse(ids).map(watch));
await browser.close();
console.log(JSON.stringify(reports));
process.exit(reports.some((report) => report.failure) ? 1 : 0);
