// Stock Shaka Player in a real Chromium plays HLS and DASH, with text and pictures of the seek bar.
// usage: node shaka.mjs EDGE VIDEO [CODEC]. With a codec (av01) that is what is preferred. The last line of output is JSON for the story to assert.
import { launched } from './chromium.mjs';
import { fileURLToPath } from 'node:url';

const [edge, id, codec] = process.argv.slice(2);
const shaka = fileURLToPath(new URL('node_modules/shaka-player/dist/shaka-player.compiled.js', import.meta.url));

const browser = await launched();
const report = {};
try {
  const page = await browser.newPage();
  // A page of the edge's own origin, without anything of ours in it.
  await page.route(`${edge}/bare`, (route) => route.fulfill({ contentType: 'text/html', body: '<video muted></video>' }));
  await page.goto(`${edge}/bare`);
  await page.addScriptTag({ path: shaka });
  for (const manifest of ['master.m3u8', 'manifest.mpd']) {
    report[manifest] = await page.evaluate(play, { url: `${edge}/v/${id}/${manifest}`, codec });
  }
} catch (error) {
  report.failure = String(error);
} finally {
  await browser.close();
}
console.log(JSON.stringify(report));
process.exit(report.failure ? 1 : 0);

// Runs in the page.
async function play({ url, codec }) {
  const { shaka } = window;
  const video = document.querySelector('video');
  video.muted = true;
  const player = new shaka.Player();
  await player.attach(video);
  if (codec) player.configure({ preferredVideo: [{ codec }] });
  const errors = [];
  player.addEventListener('error', (event) => errors.push(`${event.detail.code} ${event.detail.message}`));
  try {
    await player.load(url);
    const texts = player.getTextTracks().map((track) => `${track.language} ${track.label ?? ''}`.trim()).sort();
    const [first] = player.getTextTracks();
    if (first) {
      await player.selectTextTrack(first);
      await player.setTextTrackVisibility?.(true);
    }
    const until = async (done, what) => {
      const end = performance.now() + 30_000;
      while (!done()) {
        if (performance.now() > end) throw new Error(`not in time: ${what}`);
        await new Promise((again) => setTimeout(again, 50));
      }
    };
    await video.play();
    await until(() => video.currentTime > 1.5, 'it plays');
    video.currentTime = video.duration - 2;
    await until(() => video.ended || video.currentTime > video.duration - 0.6, 'its end plays');
    const { videoWidth, videoHeight, duration } = video;
    const variants = player.getVariantTracks().length;
    const played = player.getVariantTracks().find((track) => track.active)?.videoCodec;
    return { texts, variants, played, size: [videoWidth, videoHeight], duration, errors };
  } finally {
    await player.destroy();
  }
}
