// A row of numbers: the fleet now.
import { el, say } from '../dom';
import { type Frame, hitRatio, mbps, millis, offload, percent, perSecond, sum } from './fleet';

interface Tile {
  name: string;
  key: string;
  value: (frame: Frame) => string;
  note: (frame: Frame) => string;
}

const TILES: Tile[] = [
  { name: 'Requests a second', key: 'requests', value: ({ now }) => perSecond(now.requests), note: ({ now }) => `${now.active} under way` },
  { name: 'Hit ratio', key: 'hits', value: ({ now }) => percent(hitRatio(now)), note: ({ now }) => `${perSecond(now.misses)} misses a second` },
  { name: 'Egress', key: 'egress', value: ({ now }) => mbps(now.out_mbps), note: ({ now }) => `${mbps(now.origin_mbps)} from origins` },
  { name: 'Origin offload', key: 'offload', value: ({ now }) => percent(offload(now)), note: () => 'of what is sent' },
  { name: 'Purge, p99', key: 'purge', value: ({ purges }) => millis(purges.p99_ms), note: ({ purges }) => (purges.count ? `p50 ${millis(purges.p50_ms)}, ${purges.count} so far` : 'none yet') },
  { name: 'Steered a second', key: 'steered', value: ({ now }) => perSecond(sum(now.steered)), note: ({ now }) => `${perSecond(now.errors)} errors a second` },
];

export function tiles(): { root: HTMLElement; show: (frame: Frame) => void } {
  const made = TILES.map((tile) => {
    const value = el('dd', { class: 'value', 'data-testid': `tile-${tile.key}` }, '–');
    const note = el('dd', { class: 'dim' }, '');
    return { tile, value, note, root: el('div', { class: 'tile panel' }, el('dt', {}, tile.name), value, note) };
  });
  const root = el('dl', { class: 'tiles', 'aria-label': 'The fleet now' }, ...made.map((one) => one.root));
  const show = (frame: Frame) => {
    for (const { tile, value, note } of made) {
      say(value, tile.value(frame));
      say(note, tile.note(frame));
    }
  };
  return { root, show };
}
