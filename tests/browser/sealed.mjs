// Stock players play sealed videos: hls.js and Shaka Player in a real Chromium, with ClearKey where keys are asked by licence.
// usage: node sealed.mjs EDGE PLAYS; PLAYS is JSON: [{ how, player, id, token }]. The last line of output is JSON for the story.
import { launched } from './chromium.mjs';

const [edge, plays] = process.argv.slice(2);
const browser = await launched();

// Plays to the end, or says why not. Keys and licences are asked for with the token, nothing else is.
async function play({ player, id, token }) {
  const page = await browser.newPage();
  const log = [];
  let keys = 0;
  page.on('console', (message) => log.push(message.text()));
  page.on('pageerror', (error) => log.push(String(error)));
  page.on('response', (answer) => {
    if (/\/keys\/|\/licence/.test(answer.url()) && answer.ok()) keys += 1;
  });
  await page.route(`${edge}/player`, (route) =>
    route.fulfill({ contentType: 'text/html', body: '<!doctype html><video id="v" muted></video>' }));
  await page.goto(`${edge}/player`);
  const script = player === 'hls' ? 'hls.js/dist/hls.js' : 'shaka-player/dist/shaka-player.compiled.js';
  await page.addScriptTag({ path: new URL(`node_modules/${script}`, import.meta.url).pathname });
  const seen = await page.evaluate(async ({ player, master, manifest, token }) => {
    const video = document.getElementById('v');
    const failed = new Promise((resolve) => { window.fail = (why) => resolve({ failure: String(why) }); });
    const ended = new Promise((resolve) => video.addEventListener('ended', () => resolve({ ended: true })));
    const late = new Promise((resolve) => setTimeout(() => resolve({ failure: `at ${video.currentTime}` }), token ? 40_000 : 5_000));
    video.addEventListener('error', () => window.fail(video.error?.message));
    const withToken = (url) => (token ? `${url}${url.includes('?') ? '&' : '?'}sluice-token=${token}` : url);
    const isKey = (url) => /\/keys\/|\/licence/.test(url);
    if (player === 'hls') {
      const hls = new Hls({ xhrSetup: (xhr, url) => { if (isKey(url)) xhr.open('GET', withToken(url), true); } });
      hls.on(Hls.Events.ERROR, (_, data) => data.fatal && window.fail(`${data.details} ${data.error ?? ''}`));
      hls.loadSource(master);
      hls.attachMedia(video);
    } else {
      shaka.polyfill.installAll();
      const shakaPlayer = new shaka.Player();
      await shakaPlayer.attach(video);
      shakaPlayer.addEventListener('error', (event) => window.fail(`${event.detail.code} ${event.detail.data}`));
      shakaPlayer.getNetworkingEngine().registerRequestFilter((_, request) => {
        request.uris = request.uris.map((url) => (isKey(url) ? withToken(url) : url));
      });
      const absolute = player === 'shaka-dash' ? manifest : master;
      await shakaPlayer.load(absolute).catch((error) => window.fail(`${error.code} ${error.data}`));
    }
    video.playbackRate = 2;
    video.play().catch((error) => window.fail(error));
    const result = await Promise.race([ended, failed, late]);
    const quality = video.getVideoPlaybackQuality();
    return { ...result, time: video.currentTime, frames: quality.totalVideoFrames };
  }, { player, token, master: `${edge}/v/${id}/master.m3u8`, manifest: `${edge}/v/${id}/manifest.mpd` });
  await page.close();
  return { ended: false, ...seen, keys, log: log.slice(-5) };
}

let report;
try {
  // Side by side: each takes as long as it plays. Nobody plays while others are refused: what they have is theirs to decode.
  const all = JSON.parse(plays);
  const seen = await Promise.all(all.map(play));
  const without = await Promise.all(all.map((one) => play({ ...one, token: null })));
  report = seen.map((one, n) => ({ ...one, refused: !without[n].ended && without[n].frames === 0, without: without[n] }));
} finally {
  await browser.close();
}
console.log(JSON.stringify(report));
