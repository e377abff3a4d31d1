// What there is to see of a product: its pictures, and its film, which an edge of ours plays.
import { get, type Video } from '../api';
import { el } from '../dom';
import { picture } from '../picture';
import type { Product } from './api';
import { swatch } from './grid';

/** A stage, and below it what can be put there. */
export function gallery(product: Product, until: AbortSignal): HTMLElement {
  const stage = el('div', { class: 'gallery-stage' });
  const strip = el('div', { class: 'gallery-strip', role: 'group', 'aria-label': 'Pictures' });
  let leave = () => {};
  const choose = (tile: HTMLElement, show: () => HTMLElement) => {
    leave();
    leave = () => {};
    stage.replaceChildren(show());
    for (const other of strip.children) other.setAttribute('aria-pressed', String(other === tile));
  };
  const tile = (label: string, face: HTMLElement, show: () => HTMLElement) => {
    const node = el('button', { type: 'button', class: 'gallery-tile', 'aria-label': label, 'aria-pressed': 'false' }, face);
    node.addEventListener('click', () => choose(node, show));
    strip.append(node);
    return node;
  };
  const name = (n: number) => (product.images.length > 1 ? `${product.title}, picture ${n + 1}` : product.title);
  product.images.forEach((src, n) => tile(`Show picture ${n + 1}`, picture(src, '', '72px'), () => swatch(product.title, src, name(n))));
  stage.append(swatch(product.title, product.images[0], name(0)));
  strip.firstElementChild?.setAttribute('aria-pressed', 'true');
  if (product.video) {
    void get(product.video).then((video) => {
      if (until.aborted || !video.playable) return;
      const face = el('span', { class: 'gallery-film' }, video.urls.poster ? el('img', { src: video.urls.poster, alt: '' }) : null, el('span', { 'aria-hidden': 'true' }, '▶'));
      const node = tile('Show the film', face, () => film(video, (end) => (leave = end)));
      node.dataset.testid = 'show-film';
      strip.hidden = false;
      // Without a picture the film is what there is to see.
      if (product.images.length === 0) choose(node, () => film(video, (end) => (leave = end)));
    }, () => undefined);
  }
  strip.hidden = product.images.length < 2;
  until.addEventListener('abort', () => leave(), { once: true });
  return el('div', { class: 'gallery' }, stage, strip);
}

function film(video: Video, left: (end: () => void) => void): HTMLElement {
  if (video.visibility === 'private' || video.protection !== 'none') return el('a', { class: 'button', href: `/watch/${video.id}` }, 'Watch the film');
  const player = el('video', { controls: true, playsinline: true, class: 'gallery-player', 'aria-label': video.title, 'data-testid': 'film', ...(video.urls.poster ? { poster: video.urls.poster } : {}) });
  void import('../player').then(({ attach }) => {
    const hls = attach(player, video, () => null, () => undefined);
    left(() => hls.destroy());
  });
  return player;
}
