// Rungs that join while a video plays: its lowest is made first, and hls.js reads the list of rungs once.
import { follow, settled, type Video } from './api';

const pictures = (video: Video): number => video.rungs.filter((rung) => rung.kind === 'video' && rung.segments > 0).length;

/** Has the list read anew when there are more. */
export function rise(video: Video, anew: () => void): void {
  if (settled(video)) return;
  let known = pictures(video);
  const stop = follow(video.id, (now) => {
    if (pictures(now) > known) {
      known = pictures(now);
      anew();
    }
    if (settled(now)) stop();
  });
}
