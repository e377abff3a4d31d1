// A video in the library.
import { follow, remove, restore, settled, type Video } from './api';
import { el } from './dom';
import { edit } from './edit';
import { ago, clock } from './format';
import { toast } from './toast';

const LABELS: Record<Video['state'], string> = {
  uploading: 'Uploading',
  queued: 'Waiting for the transcoder',
  processing: 'Transcoding',
  ready: 'Ready',
  failed: 'Cannot be shown',
};

/** How long a card is pointed at before it moves, in milliseconds. */
const HOVER = 180;

/** What a card's page does for it. */
export interface Shelf {
  /** Shows the videos of a tag. */
  tag: (tag: string) => void;
  /** The cards are taken off the page. */
  until: AbortSignal;
}

/** A card that keeps itself up to date. */
export function card(video: Video, shelf: Shelf): HTMLElement {
  const root = el('article', { class: 'card', 'data-testid': 'video-card' });
  const draw = (now: Video) => {
    root.dataset.state = now.state;
    root.dataset.id = now.id;
    const next = [picture(now), now.deleted_ms === null ? body(now, shelf, draw, gone) : deleted(now, () => root.remove())];
    // A playing poster does not flicker: the picture is only replaced when it changes.
    const old = root.firstElementChild as HTMLElement | null;
    if (old && old.dataset.kind === next[0]?.dataset.kind) {
      root.lastElementChild?.replaceWith(next[1]!);
      old.querySelector('progress')?.setAttribute('value', String(now.progress));
    } else root.replaceChildren(...next);
  };
  // Where it was is where it comes back.
  const place = document.createComment('');
  const leave = () => root.replaceWith(place);
  let stop = () => {};
  const begin = (now: Video) => {
    if (!settled(now) && now.deleted_ms === null && !shelf.until.aborted) stop = follow(now.id, draw, leave);
  };
  const gone = (now: Video) => {
    stop();
    leave();
    toast(`“${now.title}” is deleted.`, async () => {
      const back = await restore(now.id);
      draw(back);
      begin(back);
      place.replaceWith(root);
    });
  };
  draw(video);
  begin(video);
  shelf.until.addEventListener('abort', () => stop(), { once: true });
  return root;
}

function picture(video: Video): HTMLElement {
  const bar = video.state === 'queued' || video.state === 'processing';
  const progress = bar && el('progress', { max: '1', value: String(video.progress), 'aria-label': 'Transcoding' });
  const length = video.duration_ms ? el('span', { class: 'length' }, clock(video.duration_ms / 1000)) : null;
  const kind = `${video.playable}-${bar}-${video.visibility}-${video.protection}-${video.deleted_ms !== null}`;
  if (video.deleted_ms !== null) return el('div', { class: 'poster empty', 'data-kind': kind }, el('span', { class: 'glyph', 'aria-hidden': 'true' }, '×'), length);
  if (!video.playable) {
    return el('div', { class: 'poster empty', 'data-kind': kind }, el('span', { class: 'glyph', 'aria-hidden': 'true' }, video.state === 'failed' ? '!' : '…'), progress);
  }
  const silent = !video.width;
  // A private poster is for those with a token, as the film is.
  const image = video.visibility === 'private'
    ? el('span', { class: 'lock', 'aria-hidden': 'true' })
    : silent
    ? el('span', { class: 'glyph', 'aria-hidden': 'true' }, '♪')
    : !video.urls.poster
    ? el('span', { class: 'glyph', 'aria-hidden': 'true' }, '…')
    : el('img', { src: video.urls.poster, alt: '', loading: 'lazy', decoding: 'async' });
  // What is to be seen of it is in its name (WCAG 2.2, 2.5.3).
  const name = `Watch ${video.title}${length ? `, ${length.textContent}` : ''}`;
  const link = el('a', { class: 'poster', href: `/watch/${video.id}`, 'data-kind': kind, 'aria-label': name }, image, length, progress);
  const open = video.visibility !== 'private' && video.protection === 'none';
  if (video.state === 'ready' && open && !silent) glimpse(link, `/v/${video.id}/preview.mp4`);
  return link;
}

/** A few seconds of the film while it is pointed at. */
function glimpse(link: HTMLElement, src: string): void {
  let timer = 0;
  let film: HTMLVideoElement | null = null;
  const end = () => {
    clearTimeout(timer);
    film?.remove();
    film = null;
  };
  const begin = () => {
    if (matchMedia('(prefers-reduced-motion: reduce)').matches) return;
    end();
    timer = window.setTimeout(() => {
      film = el('video', { class: 'glimpse', src, loop: true, playsinline: true, 'aria-hidden': 'true', 'data-testid': 'glimpse' });
      film.muted = true;
      link.querySelector('img')?.after(film);
      void film.play().catch(end);
    }, HOVER);
  };
  for (const name of ['pointerenter', 'focus']) link.addEventListener(name, begin);
  for (const name of ['pointerleave', 'blur', 'click']) link.addEventListener(name, end);
}

/** A deleted video: what it was called, and the way back. */
function deleted(video: Video, back: () => void): HTMLElement {
  const button = el('button', { class: 'quiet', type: 'button', 'data-testid': 'restore' }, 'Restore');
  button.addEventListener('click', () => {
    button.disabled = true;
    restore(video.id).then(back, (error: Error) => button.replaceWith(el('span', { class: 'why' }, error.message)));
  });
  const when = el('span', { class: 'dim' }, `Deleted ${ago(video.deleted_ms ?? 0, Date.now())}`);
  return el('div', { class: 'card-body' }, el('h3', {}, video.title), el('div', { class: 'card-foot' }, when, el('div', { class: 'actions' }, button)));
}

function body(video: Video, shelf: Shelf, draw: (video: Video) => void, gone: (video: Video) => void): HTMLElement {
  const percent = video.state === 'processing' ? ` ${Math.floor(video.progress * 100)} %` : '';
  const state = el('span', { class: `state ${video.state}`, 'data-testid': 'state' }, LABELS[video.state] + percent);
  const title = video.playable ? el('a', { href: `/watch/${video.id}` }, video.title) : video.title;
  const why = video.state === 'failed' && video.error ? el('p', { class: 'why' }, video.error) : null;
  const wrong = el('p', { class: 'why', role: 'alert', hidden: true });
  const drop = el('button', { class: 'quiet', type: 'button', 'aria-label': `Delete ${video.title}`, 'data-testid': 'delete' }, 'Delete');
  drop.addEventListener('click', () => {
    drop.disabled = true;
    remove(video.id).then(() => gone(video), (error: Error) => {
      drop.disabled = false;
      wrong.hidden = false;
      wrong.textContent = error.message;
    });
  });
  const change = el('button', { class: 'quiet', type: 'button', 'aria-label': `Edit ${video.title}`, 'data-testid': 'edit' }, 'Edit');
  change.addEventListener('click', () => edit(video, draw));
  const seen = video.visibility !== 'public' && el('span', { class: `badge ${video.visibility}`, 'data-testid': 'visibility' }, video.visibility === 'private' ? 'Private' : 'Unlisted');
  const chips = video.tags.map((tag) => {
    const chip = el('button', { type: 'button', class: 'chip', 'data-testid': 'tag' }, tag);
    chip.addEventListener('click', () => shelf.tag(tag));
    return chip;
  });
  const facts = [video.height && `${Math.min(video.width ?? 0, video.height)}p`, ago(video.created_ms, Date.now())];
  return el(
    'div',
    { class: 'card-body' },
    el('h3', {}, title),
    video.description && el('p', { class: 'dim about' }, video.description),
    chips.length > 0 && el('div', { class: 'chips' }, ...chips),
    el('div', { class: 'card-foot' }, seen, state, el('span', { class: 'dim' }, facts.filter(Boolean).join(' · ')), el('div', { class: 'actions' }, change, drop)),
    why,
    wrong,
  );
}
