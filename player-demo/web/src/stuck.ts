// hls.js now and then stops, when steering takes it to another edge while its first segments come. Then it begins anew.
import Hls from 'hls.js';

/** How long nothing happens, without a picture to show, before that, in milliseconds: a slow link has a segment by then. */
const LONG = 8_000;
/** How often, at most: what does not come then is not there. */
const TRIES = 3;

export function unstick(hls: Hls, player: HTMLVideoElement, anew: () => void): void {
  let since = performance.now();
  let left = TRIES;
  const alive = () => {
    since = performance.now();
  };
  const { MANIFEST_LOADING, LEVEL_LOADED, AUDIO_TRACK_LOADED, FRAG_LOADING, FRAG_LOADED, FRAG_BUFFERED, KEY_LOADED } = Hls.Events;
  for (const event of [MANIFEST_LOADING, LEVEL_LOADED, AUDIO_TRACK_LOADED, FRAG_LOADING, FRAG_LOADED, FRAG_BUFFERED, KEY_LOADED]) hls.on(event, alive);
  window.setInterval(() => {
    if (player.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA) alive();
    else if (left > 0 && performance.now() - since > LONG) {
      left -= 1;
      alive();
      anew();
    }
  }, 500);
}
