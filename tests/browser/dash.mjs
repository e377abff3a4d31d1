// Stock dash.js in a real Chromium is steered: it begins where it is told, and goes on elsewhere when that edge is drained.
// usage: node dash.mjs EDGE CONTROL VIDEO. The last line of output is JSON for the story to assert.
import { launched } from './chromium.mjs';
import { fileURLToPath } from 'node:url';

const [edge, control, id] = process.argv.slice(2);
const dashjs = fileURLToPath(new URL('node_modules/dashjs/dist/modern/umd/dash.all.min.js', import.meta.url));

const browser = await launched({
  // The page is made up, which Chromium takes for one of the internet's that reaches into this machine.
  args: ['--disable-features=LocalNetworkAccessChecks'],
});
const report = { before: [], after: [] };
try {
  const page = await browser.newPage();
  await page.route(`${edge}/bare`, (route) => route.fulfill({ contentType: 'text/html', body: '<video muted></video>' }));
  await page.goto(`${edge}/bare`);
  await page.addScriptTag({ path: dashjs });
  // What the player asks for by itself: a redirect is an edge's doing.
  const [all, asked] = [[], []];
  page.on('request', (request) => {
    const url = new URL(request.url());
    all.push(url.href);
    if (url.pathname.endsWith('.m4s') && !request.redirectedFrom()) asked.push(url.origin);
  });
  const until = async (done, what) => {
    for (const end = Date.now() + 30_000; !(await done());) {
      if (Date.now() > end) throw new Error(`not in time: ${what}`);
      await new Promise((again) => setTimeout(again, 50));
    }
  };
  report.all = all;
  await page.evaluate(begin, `${edge}/v/${id}/manifest.mpd`);
  await until(() => asked.length >= 3, 'segments');
  report.before = [...new Set(asked)];
  const { nodes } = await (await fetch(`${control}/v1/nodes`)).json();
  const first = nodes.find((node) => node.report.public_url === asked[0]);
  report.drained = first?.report.node ?? null;
  await fetch(`${control}/v1/nodes/${report.drained}/drain`, { method: 'POST' });
  await until(() => asked.at(-1) !== asked[0], 'another edge');
  const moved = asked.length;
  await until(() => asked.length >= moved + 2, 'segments of the other edge');
  report.after = [...new Set(asked.slice(moved - 1))];
  await until(() => page.evaluate(() => document.querySelector('video').currentTime > 8), 'eight seconds');
  Object.assign(report, await page.evaluate(() => ({ errors: window.errors, stalls: window.stalls })));
  delete report.all;
} catch (error) {
  report.failure = String(error);
} finally {
  await browser.close();
}
console.log(JSON.stringify(report));
process.exit(report.failure ? 1 : 0);

// Runs in the page.
function begin(url) {
  const video = document.querySelector('video');
  const player = window.dashjs.MediaPlayer().create();
  Object.assign(window, { errors: [], stalls: 0 });
  player.on('error', (event) => window.errors.push(String(event.error?.message ?? event.error)));
  player.on('playbackWaiting', () => { if (video.currentTime > 0.5) window.stalls += 1; });
  player.updateSettings({ streaming: { buffer: { bufferTimeDefault: 8 } } });
  player.initialize(video, url, true);
}
