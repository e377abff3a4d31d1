// Chromium as the stories start it: the machine's own, quiet, and free to play.
import { chromium } from 'playwright-core';
import { existsSync } from 'node:fs';

const QUIET = ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
  '--autoplay-policy=no-user-gesture-required'];

/** Starts it. Without `quic`, HTTP/3 is not tried. */
export function launched({ quic = false, args = [] } = {}) {
  const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync);
  if (!executablePath) throw new Error('no Chromium: `make setup` installs it');
  return chromium.launch({ executablePath, args: [...QUIET, ...(quic ? [] : ['--disable-quic']), ...args] });
}

/** Plays once there is something to show: until then the page may load anew, and breaks a `play()` off. */
export const play = (player) => player.evaluate(async (video) => {
  video.muted = true;
  while (video.readyState < 2) await new Promise((done) => setTimeout(done, 20));
  await video.play();
});
