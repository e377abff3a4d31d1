// The choice of a quality: each picture rung once, though it is a variant with each group of sound, and the sound alone.
import Hls, { type Level } from 'hls.js';
import { el } from './dom';
import { rate } from './format';
import { rungs, variant } from './rungs';

const AUTO = '-1';
const SOUND = 'sound';

export const label = (level: Pick<Level, 'width' | 'height'>): string => (level.height ? `${Math.min(level.width, level.height)}p` : 'Audio');

/** Fills the list and does what is chosen; `play` has the player go on with another playlist, or with all of them. */
export function quality(hls: Hls, select: HTMLSelectElement, play: (playlist: string | null) => void): void {
  let chosen = AUTO;
  const draw = () => {
    // The sound's own playlist names no other: what there was is still there to go back to.
    if (chosen === SOUND) return;
    const pictures = rungs(hls.levels).filter((rung) => rung.height > 0);
    const options = pictures.map((rung) => el('option', { value: rung.name }, `${label(rung)} · ${rate(rung.bitrate)}`));
    const alone = pictures.length > 0 && hls.audioTracks.length > 0 && el('option', { value: SOUND }, 'Sound only');
    select.replaceChildren(el('option', { value: AUTO }, 'Auto'), ...options, ...(alone ? [alone] : []));
    if (!pictures.some((rung) => rung.name === chosen)) chosen = AUTO;
    select.value = chosen;
  };
  const take = () => {
    hls.nextLevel = chosen === AUTO ? -1 : variant(hls.levels, chosen, hls.levels[hls.loadLevel]?.audioGroups?.[0]);
  };
  hls.on(Hls.Events.MANIFEST_PARSED, () => {
    draw();
    if (chosen !== AUTO && chosen !== SOUND) take();
  });
  for (const event of [Hls.Events.LEVELS_UPDATED, Hls.Events.AUDIO_TRACKS_UPDATED] as const) hls.on(event, draw);
  select.addEventListener('change', () => {
    const before = chosen;
    const track = hls.audioTracks[Math.max(0, hls.audioTrack)];
    chosen = select.value;
    if (chosen === SOUND && track) play(track.url);
    else if (before === SOUND) play(null);
    else take();
  });
}
