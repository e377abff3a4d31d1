// Photos of a post: chosen, described, sent; and shown in the sizes that an edge makes.
import { button, el, field, say } from '../dom';
import { local } from '../local';
import { picture } from '../picture';
import { Refused } from '../session';
import { upload, type Photo } from './api';
import { average } from './blur';

/** Photos of a post, as the feed has it. */
const MOST = 4;

/** The photos of a post: alone as it is, several in a grid. */
export function album(all: Photo[]): HTMLElement | null {
  const photos = all.flatMap((photo) => {
    const path = local(photo.path, location.origin);
    return path ? [{ ...photo, path }] : [];
  });
  if (photos.length === 0) return null;
  const sizes = photos.length === 1 ? '(max-width: 700px) 100vw, 620px' : '(max-width: 700px) 50vw, 310px';
  const one = ({ path, alt, blur }: Photo) => {
    const colour = blur ? average(blur) : null;
    return el('a', { href: path, target: '_blank', rel: 'noopener', class: 'photo', style: colour ? `background: ${colour}` : undefined, 'aria-label': alt ? undefined : 'A photo without a description' }, picture(path, alt ?? '', sizes));
  };
  return el('div', { class: `album of-${Math.min(photos.length, MOST)}` }, ...photos.map(one));
}

export interface Photos {
  /** The button that chooses. */
  button: HTMLElement;
  /** What was chosen. */
  tray: HTMLElement;
  /** What the post is to have; an error in words while something is missing. */
  read: () => Photo[];
  any: () => boolean;
  clear: () => void;
}

interface Chosen {
  root: HTMLElement;
  alt: HTMLInputElement;
  photo: Photo | null;
}

let names = 0;

/** Chooses photos and sends each at once, while its description is written. */
export function choosing(changed: () => void): Photos {
  const all: Chosen[] = [];
  const tray = el('ul', { class: 'tray', hidden: true, 'data-testid': 'tray' });
  const wrong = el('p', { class: 'why', role: 'alert' });
  const input = el('input', { type: 'file', accept: 'image/*', multiple: true, class: 'hidden', tabindex: '-1', 'aria-hidden': 'true', 'data-testid': 'photo-input' });
  const choose = button('Photo', { class: 'quiet', 'data-testid': 'photo' }, () => input.click());
  const draw = () => {
    tray.hidden = all.length === 0 && wrong.textContent === '';
    choose.disabled = all.length >= MOST;
    changed();
  };
  const drop = (one: Chosen) => {
    all.splice(all.indexOf(one), 1);
    one.root.remove();
    draw();
  };
  const add = (file: File) => {
    names += 1;
    const alt = el('input', { id: `alt-${names}`, maxlength: '500', required: true, placeholder: 'For those who do not see it', 'data-testid': 'photo-alt' });
    const state = el('span', { class: 'dim', role: 'status' }, 'Sending…');
    const shown = URL.createObjectURL(file);
    const image = el('img', { src: shown, alt: '' });
    image.addEventListener('load', () => URL.revokeObjectURL(shown), { once: true });
    const one: Chosen = { alt, photo: null, root: el('li', { 'data-testid': 'chosen' }, image, el('div', { class: 'tray-words' }, field('What is to be seen', alt), state), button('Remove', { class: 'quiet', 'aria-label': `Remove ${file.name}` }, () => drop(one))) };
    all.push(one);
    tray.append(one.root);
    upload(file).then(
      ({ path, blur }) => {
        one.photo = { path, blur };
        say(state, '');
        changed();
      },
      (error: unknown) => {
        const none = error instanceof Refused && (error.status === 404 || error.status === 405);
        say(wrong, none ? 'This installation takes no photos.' : (error as Error).message);
        drop(one);
      },
    );
  };
  input.addEventListener('change', () => {
    say(wrong, '');
    for (const file of [...(input.files ?? [])].slice(0, MOST - all.length)) add(file);
    input.value = '';
    draw();
  });
  tray.append(wrong);
  const read = () => {
    if (all.some(({ photo }) => photo === null)) throw new Error('A photo is still on its way.');
    const bare = all.find(({ alt }) => alt.value.trim() === '');
    if (bare) {
      bare.alt.focus();
      throw new Error('Say what is to be seen, for those who do not see it.');
    }
    return all.flatMap(({ photo, alt }) => (photo ? [{ ...photo, alt: alt.value.trim() }] : []));
  };
  const clear = () => {
    for (const one of [...all]) drop(one);
  };
  return { button: el('span', {}, choose, input), tray, read, any: () => all.length > 0, clear };
}
