// A video in the library.
import { follow, remove, type Video } from './api';
import { el } from './dom';
import { ago, clock } from './format';

const LABELS: Record<Video['state'], string> = {
  uploading: 'Uploading',
  queued: 'Waiting for the transcoder',
  processing: 'Transcoding',
  ready: 'Ready',
  failed: 'Cannot be shown',
};

/** A card that keeps itself up to date. */
export function card(video: Video): HTMLElement {
  const root = el('article', { class: 'card', 'data-testid': 'video-card' });
  const draw = (now: Video) => {
    root.dataset.state = now.state;
    root.dataset.id = now.id;
    const next = [picture(now), body(now, () => root.remove())];
    // A playing poster does not flicker: the picture is only replaced when it changes.
    const old = root.firstElementChild as HTMLElement | null;
    if (old && old.dataset.kind === next[0]?.dataset.kind) {
      root.lastElementChild?.replaceWith(next[1]!);
      old.querySelector('progress')?.setAttribute('value', String(now.progress));
    } else root.replaceChildren(...next);
  };
  draw(video);
  if (video.state !== 'ready' && video.state !== 'failed') follow(video.id, draw);
  return root;
}

function picture(video: Video): HTMLElement {
  const bar = video.state === 'queued' || video.state === 'processing';
  const progress = bar && el('progress', { max: '1', value: String(video.progress), 'aria-label': 'Transcoding' });
  const length = video.duration_ms ? el('span', { class: 'length' }, clock(video.duration_ms / 1000)) : null;
  const kind = `${video.playable}-${bar}`;
  if (!video.playable) {
    return el('div', { class: 'poster empty', 'data-kind': kind }, el('span', { class: 'glyph', 'aria-hidden': 'true' }, video.state === 'failed' ? '!' : '…'), progress);
  }
  const silent = !video.width;
  const image = silent
    ? el('span', { class: 'glyph', 'aria-hidden': 'true' }, '♪')
    : el('img', { src: video.urls.poster, alt: '', loading: 'lazy', decoding: 'async' });
  return el('a', { class: 'poster', href: `/watch/${video.id}`, 'data-kind': kind, 'aria-label': `Watch ${video.title}` }, image, length, progress);
}

function body(video: Video, gone: () => void): HTMLElement {
  const percent = video.state === 'processing' ? ` ${Math.floor(video.progress * 100)} %` : '';
  const state = el('span', { class: `state ${video.state}`, 'data-testid': 'state' }, LABELS[video.state] + percent);
  const title = video.playable ? el('a', { href: `/watch/${video.id}` }, video.title) : video.title;
  const why = video.state === 'failed' && video.error ? el('p', { class: 'why' }, video.error) : null;
  const drop = el('button', { class: 'quiet', type: 'button', 'aria-label': `Delete ${video.title}` }, 'Delete');
  drop.addEventListener('click', () => {
    if (!window.confirm(`Delete “${video.title}” for everybody?`)) return;
    drop.disabled = true;
    remove(video.id).then(gone, (error: Error) => {
      drop.disabled = false;
      window.alert(error.message);
    });
  });
  const facts = [video.height && `${Math.min(video.width ?? 0, video.height)}p`, ago(video.created_ms, Date.now())];
  return el(
    'div',
    { class: 'card-body' },
    el('h3', {}, title),
    el('div', { class: 'card-foot' }, state, el('span', { class: 'dim' }, facts.filter(Boolean).join(' · ')), drop),
    why,
  );
}
