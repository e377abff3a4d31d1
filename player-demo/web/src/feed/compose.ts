// Where a post or a reply is written.
import { list } from '../api';
import { busy, button, el, say } from '../dom';
import { once } from '../once';
import { create, fragment, type NewPost, type Post } from './api';
import { choosing } from './photos';

/** Characters of a post, and how few are left when one is told. */
const MOST = 500;
const NEAR = 60;

/** `to`: the post that is answered. `done` is told what was made. */
export function compose(done: (post: Post) => void, to?: Post): HTMLFormElement {
  const words = to ? `Answer ${to.author}` : 'What is there to tell?';
  const text = el('textarea', { rows: to ? '2' : '3', maxlength: String(MOST), placeholder: words, 'aria-label': to ? words : 'Your post', 'data-testid': to ? 'reply-text' : 'post-text' });
  const left = el('span', { class: 'dim number' });
  const wrong = el('p', { class: 'why', role: 'alert' });
  const send = el('button', { type: 'submit', disabled: true, 'data-testid': to ? 'reply-send' : 'post' }, to ? 'Reply' : 'Post');
  const asOne = once();
  let sending = false;
  const changed = () => {
    const rest = MOST - [...text.value].length;
    say(left, rest <= NEAR ? String(rest) : '');
    send.disabled = sending || (text.value.trim() === '' && !photos.any() && !film.value());
  };
  const photos = choosing(changed);
  const film = filming(changed);
  // What is on its way is not written on: it would be lost when that is done.
  const hold = (on: boolean) => {
    sending = text.readOnly = on;
    for (const node of [photos.button, photos.tray, film.button, film.tray]) node.inert = on;
  };
  text.addEventListener('input', changed);
  const form = el('form', { class: 'panel composer', 'aria-label': words }, text, photos.tray, film.tray, el('div', { class: 'row' }, photos.button, to ? null : film.button, wrong, el('span', { class: 'push row' }, left, send)));
  text.addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    void busy(send, wrong, async () => {
      const pictures = photos.read();
      const video = film.value();
      const what: NewPost = { text: text.value, ...(pictures.length > 0 ? { photos: pictures } : {}), ...(video ? { video } : {}), ...(to ? { reply_to: to.id } : {}) };
      hold(true);
      const post = await asOne(what, async (what, key) => fragment((await create(what, key)).fragment)).finally(() => hold(false));
      text.value = '';
      photos.clear();
      film.clear();
      done(post);
    }).finally(changed);
  });
  return form;
}

/** A public video of the library. */
function filming(changed: () => void): { button: HTMLElement; tray: HTMLElement; value: () => string; clear: () => void } {
  const choice = el('select', { 'aria-label': 'Which video', 'data-testid': 'video-choice' }, el('option', { value: '' }, 'Loading…'));
  const clear = () => {
    tray.hidden = true;
    choice.value = '';
    changed();
  };
  const tray = el('div', { class: 'row tight', hidden: true }, choice, button('Remove', { class: 'quiet', 'aria-label': 'Without a video' }, clear));
  choice.addEventListener('change', changed);
  const open = button('Video', { class: 'quiet', 'data-testid': 'video' }, async () => {
    tray.hidden = false;
    const all = await list({ q: '', tags: [], shown: 'public' }, null, new AbortController().signal).catch(() => null);
    if (!all) return choice.replaceChildren(el('option', { value: '' }, 'The library cannot be read now'));
    const playable = all.videos.filter((video) => video.playable);
    choice.replaceChildren(el('option', { value: '' }, playable.length > 0 ? 'Choose a video' : 'The library has none yet'), ...playable.map((video) => el('option', { value: video.id }, video.title)));
    choice.focus();
  });
  return { button: open, tray, value: () => (tray.hidden ? '' : choice.value), clear };
}
