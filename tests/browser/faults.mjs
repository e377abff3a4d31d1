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

// For each player that begins, or catches up.
const PATIENCE_MS = 30_000;

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const next = async () => (await lines.next()).value;
const { base, watch_ms: watch, cases } = JSON.parse(await next());
const browser = await launched();

/** A player that plays: on its second or third try, where the machine is so busy that an edge's answer is later than it waits for. */
async function begin(one, name) {
  for (let left = 3; ; left -= 1) {
    const context = await browser.newContext();
    const seen = { one, name, page: await context.newPage(), came: [], log: [], broken: 0 };
    try {
      await plays(seen);
      return seen;
    } catch (error) {
      const why = `${one.name}, ${name}: ${error.message} ${JSON.stringify({ is: await is(seen.page), came: seen.came.length, log: seen.log.slice(-30) })}`;
      console.error(why);
      // It is not to go on beside the one that takes its place.
      await context.close();
      if (left === 1) throw new Error(why);
    }
  }
}

async function plays({ one, name, page, came, log }) {
  page.on('console', (message) => log.push(message.text().slice(0, 200)));
  page.on('pageerror', (error) => log.push(String(error).slice(0, 200)));
  page.on('response', (answer) => {
    if (!/\.m4s(\?|$)/.test(answer.url())) return;
    came.push({ at: performance.now(), status: answer.status(), node: answer.headers()['sluice-node'] });
  });
  // A real page of this machine: one that Playwright makes up may not ask it for anything.
  await page.goto(`${base}/v1/routes/key`);
  await page.setContent('<video class="video-js" muted playsinline></video>');
  await page.addScriptTag({ path: players[name].path });
  await page.evaluate(players[name].play, one.master);
  await page.waitForFunction(laden, null, { timeout: PATIENCE_MS });
  await page.evaluate(meter);
  // It holds what it has until all others have begun, and leaves the machine to them.
  await page.evaluate(() => document.querySelector('video').pause());
}

/** What a player that does not begin has come to. */
const is = (page) => page.evaluate(() => {
  const { currentTime, buffered, readyState, paused } = document.querySelector('video');
  return { currentTime, readyState, paused, buffered: [...Array(buffered.length).keys()].map((at) => [buffered.start(at), buffered.end(at)]) };
}).catch(String);

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
  const all = [];
  // Fleet after fleet: nine at once wait for one another for longer than they wait for an edge.
  for (const one of cases) all.push(...await Promise.all(Object.keys(players).map((name) => begin(one, name))));
  await Promise.all(all.map((seen) => seen.page.evaluate(() => document.querySelector('video').play())));
  console.log(JSON.stringify({ playing: true }));
  for (let left = cases.length; left > 0; left -= 1) {
    const broken = await next();
    const hit = all.filter((seen) => seen.one.name === broken);
    // It is with their buffers that they meet it: one that is behind just now, on a machine that is too busy, catches up first.
    await Promise.all(hit.map((seen) => seen.page.waitForFunction(laden, null, { timeout: PATIENCE_MS })));
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

/** True for a player that plays and has more than five seconds to play. */
function laden() {
  const { buffered, currentTime, paused } = document.querySelector('video');
  return !paused && currentTime > 2 && buffered.length > 0 && buffered.end(buffered.length - 1) - currentTime > 5;
}

/**
 * Counts how long the picture stands still: time that passed and was not played. Where there was enough to play, it is the
 * machine that did not, and that is counted by itself: no player waits with so much.
 */
function meter() {
  const ENOUGH_S = 3;
  const video = document.querySelector('video');
  let now, position, frozen, busy, stalls, looked, could, held;
  window.anew = () => {
    [now, position, frozen, busy, stalls] = [performance.now(), video.currentTime, 0, 0, 0];
    [looked, could, held] = [now, false, 0];
  };
  const stood = () => performance.now() - now - (video.currentTime - position) * 1000;
  const ends = () => {
    const at = [...Array(video.buffered.length).keys()].find((n) => video.buffered.start(n) <= video.currentTime && video.currentTime <= video.buffered.end(n));
    return at === undefined ? 0 : video.buffered.end(at);
  };
  const can = () => !video.paused && !video.seeking && !video.error && video.playbackRate > 0 && ends() - video.currentTime > ENOUGH_S;
  // Of the time since the picture moved, that between two looks that both found enough.
  const look = () => {
    const [at, was] = [performance.now(), could];
    could = can();
    if (was && could) held += at - looked;
    looked = at;
  };
  /** Milliseconds that it stood for want of media, and those for which it had enough. Less is the clock's. */
  const stall = () => {
    const whole = stood();
    const own = Math.max(0, whole - held);
    return own > 150 ? [own, whole - own] : [0, whole > 150 ? whole : 0];
  };
  window.anew();
  setInterval(() => {
    look();
    if (video.currentTime <= position + 0.001) return;
    const [own, machine] = stall();
    [frozen, busy, stalls] = [frozen + own, busy + machine, stalls + Number(own > 0)];
    [now, position, held] = [performance.now(), video.currentTime, 0];
  }, 25);
  window.told = () => {
    look();
    const [own, machine] = video.ended ? [0, 0] : stall();
    const still = own > 0;
    const ms = { frozen_ms: Math.round(frozen + own), busy_ms: Math.round(busy + machine) };
    return { ...ms, still, stalls: stalls + Number(still), position: video.currentTime };
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
