// Rungs that join while a video plays: its lowest is made first, and hls.js reads the list of rungs once.
import Hls from 'hls.js';
import { follow, settled, type Video } from './api';

const pictures = (video: Video): number => video.rungs.filter((rung) => rung.kind === 'video' && rung.segments > 0).length;

/** Reads the list anew when there are more, and plays on from where it was. */
export function rise(hls: Hls, player: HTMLVideoElement, video: Video): void {
  if (settled(video)) return;
  let known = pictures(video);
  const stop = follow(video.id, (now) => {
    if (pictures(now) > known) {
      known = pictures(now);
      const playing = !player.paused;
      hls.config.startPosition = player.currentTime;
      hls.loadSource(video.urls.master);
      if (playing) hls.once(Hls.Events.MANIFEST_PARSED, () => void player.play().catch(() => undefined));
    }
    if (settled(now)) stop();
  });
}
