// What lies beside a film: pictures for the seek bar, chapters, downloads.
import type { Text, Video } from './api';
import { el } from './dom';
import { bytes } from './format';
import { tiles, written, type Tile } from './storyboard';

type At = (url: string) => string;

/** The storyboard of a list. */
export async function storyboard(list: string, at: At): Promise<Tile[]> {
  const from = new URL(list, location.href).href;
  const answer = await fetch(at(from)).catch(() => null);
  return answer?.ok ? tiles(await answer.text(), (uri) => at(new URL(uri, from).href)) : [];
}

/** Tracks that the controls read: pictures of the seek bar, and chapters. */
export function tracks(texts: Text[], at: At, all: Tile[]): HTMLTrackElement[] {
  const nodes: HTMLTrackElement[] = [];
  if (all.length > 0) {
    const src = URL.createObjectURL(new Blob([written(all)], { type: 'text/vtt' }));
    nodes.push(el('track', { kind: 'metadata', label: 'thumbnails', src, default: true }));
  }
  const chapters = texts.find((text) => text.kind === 'chapters');
  if (chapters) nodes.push(el('track', { kind: 'chapters', label: chapters.label, src: at(chapters.url), default: true }));
  return nodes;
}

/** One file of each rung, with the sound; of what is sealed there are none. */
export function downloads(video: Video, at: At): HTMLElement | null {
  if (video.state !== 'ready' || video.protection !== 'none') return null;
  const sound = video.rungs.find((rung) => rung.kind === 'audio');
  const size = (bandwidth: number) => bytes(((video.duration_ms ?? 0) / 1000) * (bandwidth / 8));
  const rungs = [...video.rungs].sort((a, b) => b.height - a.height);
  const links = rungs.map((rung) => {
    const about = size(rung.average_bandwidth + (rung.kind === 'video' ? (sound?.average_bandwidth ?? 0) : 0));
    const name = rung.kind === 'audio' ? 'Sound' : `${Math.min(rung.width, rung.height)}p`;
    const href = at(`/v/${video.id}/download/${rung.name}.mp4`);
    return el('a', { class: 'download', href, download: `${video.title}-${rung.name}.mp4`, 'data-testid': 'download' }, el('strong', {}, name), el('span', { class: 'dim' }, `about ${about}`));
  });
  return el('section', { class: 'links', 'aria-label': 'Downloads' }, el('h2', {}, 'Download'), el('div', { class: 'downloads' }, ...links));
}
