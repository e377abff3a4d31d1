// What is attached to a message: pictures, films and sound are there in place, all else is there to be taken.
import { el } from '../dom';
import { bytes } from '../format';
import { local } from '../local';
import { picture } from '../picture';
import type { Attachment } from './api';
import { retried } from './retried';

/** Pictures that every browser shows, and the chat gives out to be shown. */
const PICTURES = new Set(['image/png', 'image/jpeg', 'image/webp', 'image/gif', 'image/avif']);

export function attached({ name, type, bytes: size, path }: Attachment): HTMLElement {
  const at = local(path, location.origin);
  const words = [el('span', { 'aria-hidden': 'true' }, '↓ '), el('span', { class: 'file-name' }, name), ` (${bytes(size)})`];
  if (!at) return el('span', { class: 'attached' }, ...words);
  const link = el('a', { href: at, download: name, class: 'attached', 'data-testid': 'attached-file' }, ...words);
  if (PICTURES.has(type)) return shown(at, name, link);
  if (type.startsWith('video/')) return played(el('video', { controls: true, preload: 'metadata', playsinline: true, 'aria-label': name }), at, link);
  if (type.startsWith('audio/')) return played(el('audio', { controls: true, preload: 'metadata', 'aria-label': name }), at, link);
  return link;
}

function shown(at: string, name: string, link: HTMLElement): HTMLElement {
  // What only members may have is had as it is: an edge makes no sizes of it.
  const image = at.startsWith('/v1/chat/') ? el('img', { loading: 'lazy', decoding: 'async', alt: name, src: at }) : picture(at, name, '300px');
  const root = el('a', { href: at, target: '_blank', rel: 'noopener', class: 'attached', 'data-testid': 'attached-picture' }, image);
  retried(image, at, () => root.replaceWith(link));
  return root;
}

function played(media: HTMLMediaElement, at: string, link: HTMLElement): HTMLElement {
  retried(media, at, () => media.remove());
  media.src = at;
  return el('div', { class: 'attached', 'data-testid': 'attached-media' }, media, link);
}
