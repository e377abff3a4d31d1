// Pictures in the sizes that an edge makes of them (ADR 0013), and as they are where it makes none.
import { el } from './dom';
import { local } from './local';

/** Widths that are asked for, as `w=480&fmt=auto`: what an edge is to have among its presets. */
const WIDTHS = [480, 960] as const;

/** A picture of this site, or of another as it is. */
export function picture(src: string, alt: string, sizes: string): HTMLImageElement {
  const ours = local(src, location.origin) !== null && !src.includes('?');
  const sources = ours ? { srcset: WIDTHS.map((width) => `${src}?w=${width}&fmt=auto ${width}w`).join(', '), sizes } : {};
  const image = el('img', { ...sources, src, alt, loading: 'lazy', decoding: 'async' });
  // Where an edge refuses the variant, there is the picture itself.
  image.addEventListener('error', () => image.removeAttribute('srcset'), { once: true });
  return image;
}
