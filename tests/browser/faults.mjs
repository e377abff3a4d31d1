// Stock players in a real Chromium play while something is broken: how long the picture stands still, and when they are elsewhere.
// usage: node faults.mjs; its input is lines, its output JSON lines for the story to assert.
//   {"base": URL, "watch_ms": N, "cases": [{"name", "master", "node"}]}   -> {"playing": true} once all play and have their buffers
//   the name of a case, as it is broken                                   -> the report, once each was watched for so long
import { launched } from './chromium.mjs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const script = (path) => fileURLToPath(new URL(`node_modules/${path}`, import.meta.url));

// Each with what docs/control.md recommends, and so little room that they never have more than ten seconds: another segment of
// four is fetched with less than six.
const players = {
  'hls.js': { path: script('hls.js/dist/hls.min.js'), play: hls },
  Shaka: { path: script('shaka-player/dist/shaka-player.compiled.js'), play: shaka },
  'video.js': { path: script('video.js/dist/video.min.js'), play: videojs },
};

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const next = async () => (await lines.next()).value;
const { base, watch_ms: watch, cases } = JSON.parse(await next());
const browser = await launched();

async function begin(one, name) {
  const page = await (await browser.newContext()).newPage();
  const seen = { one, name, page, came: [], log: [], broken: 0 };
  page.on('console', (message) => seen.log.push(message.text().slice(0, 200)));
  page.on('pageerror', (error) => seen.log.push(String(error).slice(0, 200)));
  page.on('response', (answer) => {
    if (!/\.m4s(\?|$)/.test(answer.url())) return;
    seen.came.push({ at: performance.now(), status: answer.status(), node: answer.headers()['sluice-node'] });
  });
  // A real page of this machine: one that Playwright makes up may not ask it for anything.
  await page.goto(`${base}/v1/routes/key`);
  await page.setContent('<video class="video-js" muted playsinline></video>');
  await page.addScriptTag({ path: players[name].path });
  await page.evaluate(players[name].play, one.master);
  await page.waitForFunction(() => {
    const { buffered, currentTime } = document.querySelector('video');
    return currentTime > 2 && buffered.length > 0 && buffered.end(buffered.length - 1) - currentTime > 5;
  }, null, { timeout: 30_000 }).catch(async (error) => {
    const is = await page.evaluate(() => {
      const { currentTime, buffered, readyState, paused } = document.querySelector('video');
      return { currentTime, readyState, paused, buffered: [...Array(buffered.length).keys()].map((at) => [buffered.start(at), buffered.end(at)]) };
    });
    throw new Error(`${one.name}, ${name}: ${error.message} ${JSON.stringify({ is, came: seen.came.length, log: seen.log.slice(-30) })}`);
  });
  await page.evaluate(meter);
  return seen;
}

async function end(seen) {
  const left = seen.broken + watch - performance.now();
  await new Promise((done) => setTimeout(done, Math.max(0, left)));
  const told = await seen.page.evaluate(() => window.told());
  const after = seen.came.filter((came) => came.at >= seen.broken);
  const elsewhere = after.find((came) => came.status === 200 && came.node && came.node !== seen.one.node);
  return {
    fault: seen.one.name, player: seen.name, ...told,
    moved_ms: elsewhere ? Math.round(elsewhere.at - seen.broken) : null,
    statuses: [...new Set(after.map((came) => `${came.status} ${came.node}`))],
    before: [...new Set(seen.came.filter((came) => came.at < seen.broken).map((came) => came.node))],
    log: seen.log.filter((line) => !line.includes('UNSAFE')).slice(-8),
  };
}

try {
  // One that does not begin, on a machine that is too busy, begins anew.
  const begun = (one, name) => begin(one, name).catch((error) => { console.error(String(error)); return begin(one, name); });
  const all = await Promise.all(cases.flatMap((one) => Object.keys(players).map((name) => begun(one, name))));
  console.log(JSON.stringify({ playing: true }));
  for (let left = cases.length; left > 0; left -= 1) {
    const broken = await next();
    const hit = all.filter((seen) => seen.one.name === broken);
    await Promise.all(hit.map((seen) => seen.page.evaluate(() => window.anew())));
    hit.forEach((seen) => { seen.broken = performance.now(); });
    console.log(JSON.stringify({ ready: broken }));
  }
  console.log(JSON.stringify(await Promise.all(all.map(end))));
} catch (error) {
  console.log(JSON.stringify({ failure: String(error) }));
  process.exitCode = 1;
} finally {
  await browser.close();
}
process.exit();

// What follows runs in the page.

/** Counts how long the picture stands still: time that passed and was not played. */
function meter() {
  const video = document.querySelector('video');
  let now, position, frozen, stalls;
  window.anew = () => { [now, position, frozen, stalls] = [performance.now(), video.currentTime, 0, 0]; };
  const stood = () => performance.now() - now - (video.currentTime - position) * 1000;
  window.anew();
  setInterval(() => {
    if (video.currentTime <= position + 0.001) return;
    // Less is the clock's and the machine's.
    if (stood() > 150) { frozen += stood(); stalls += 1; }
    [now, position] = [performance.now(), video.currentTime];
  }, 25);
  window.told = () => {
    const still = !video.ended && stood() > 150;
    return { frozen_ms: Math.round(frozen + (still ? stood() : 0)), still, stalls: stalls + Number(still), position: video.currentTime };
  };
}

async function hls(url) {
  const { Hls } = window;
  const policy = { default: {
    maxTimeToFirstByteMs: 2000, maxLoadTimeMs: 60000,
    timeoutRetry: { maxNumRetry: 2, retryDelayMs: 100, maxRetryDelayMs: 500 },
    errorRetry: { maxNumRetry: 4, retryDelayMs: 100, maxRetryDelayMs: 1000 },
  } };
  const player = new Hls({ maxBufferLength: 6, maxMaxBufferLength: 6, fragLoadPolicy: policy, playlistLoadPolicy: policy });
  player.on(Hls.Events.ERROR, (_, error) => {
    console.log(`${error.type} ${error.details} ${error.fatal ? 'fatal' : ''}`);
    if (error.fatal) setTimeout(() => player.startLoad(), 1000);
  });
  const video = document.querySelector('video');
  video.muted = true;
  player.loadSource(url);
  player.attachMedia(video);
  player.on(Hls.Events.MANIFEST_PARSED, () => video.play());
}

async function shaka(url) {
  const video = document.querySelector('video');
  video.muted = true;
  const player = new window.shaka.Player();
  await player.attach(video);
  const retryParameters = { maxAttempts: 2, baseDelay: 100, backoffFactor: 1, fuzzFactor: 0, timeout: 8000, stallTimeout: 2000, connectionTimeout: 2000 };
  player.configure({ streaming: { bufferingGoal: 6, retryParameters }, manifest: { retryParameters } });
  player.addEventListener('error', (event) => {
    console.log(`${event.detail.code} ${event.detail.message}`);
    player.retryStreaming(0.1);
  });
  await player.load(url).catch((error) => { throw new Error(`Shaka ${error.code} ${JSON.stringify(error.data)}`); });
  video.play();
}

async function videojs(url) {
  const { videojs: make } = window;
  make.Vhs.GOAL_BUFFER_LENGTH = 6;
  make.Vhs.MAX_GOAL_BUFFER_LENGTH = 6;
  const player = make(document.querySelector('video'), { muted: true, html5: { vhs: { overrideNative: true } } });
  player.on('error', () => console.log(`fatal ${player.error()?.message}`));
  player.src({ src: url, type: 'application/x-mpegURL' });
  player.ready(() => player.play());
}
