// The form that changes what people say of a video, and who sees it.
import { change, type Video, type Visibility } from './api';
import { el, say } from './dom';

const SEEN: [Visibility, string][] = [
  ['public', 'Public: in the library'],
  ['unlisted', 'Unlisted: for those with the link'],
  ['private', 'Private: with a token alone'],
];

/** Opens the form; `done` is called with what came of it. */
export function edit(video: Video, done: (video: Video) => void): void {
  const title = el('input', { id: 'edit-title', value: video.title, maxlength: '255', required: true });
  const about = el('textarea', { id: 'edit-about', rows: '3', maxlength: '10000' }, video.description);
  const tags = el('input', { id: 'edit-tags', value: video.tags.join(', '), placeholder: 'road trip, 2026' });
  const seen = el('select', { id: 'edit-seen', 'data-testid': 'edit-visibility' }, ...SEEN.map(([value, text]) => el('option', { value, selected: value === video.visibility }, text)));
  const why = el('p', { class: 'why', role: 'alert' });
  const cancel = el('button', { type: 'button', class: 'quiet' }, 'Cancel');
  const save = el('button', { type: 'submit', 'data-testid': 'edit-save' }, 'Save');
  const field = (label: string, node: HTMLElement) => el('div', { class: 'field' }, el('label', { for: node.id }, label), node);
  const form = el('form', { method: 'dialog' }, el('h2', {}, 'Edit'), field('Title', title), field('Description', about), field('Tags', tags), field('Who sees it', seen), why, el('div', { class: 'actions' }, save, cancel));
  const dialog = el('dialog', { class: 'edit', 'aria-label': `Edit ${video.title}` }, form);
  cancel.addEventListener('click', () => dialog.close());
  dialog.addEventListener('close', () => dialog.remove());
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    save.disabled = true;
    const list = tags.value.split(',').map((tag) => tag.trim()).filter(Boolean);
    change(video, { title: title.value, description: about.value, tags: list, visibility: seen.value as Visibility }).then(
      (now) => {
        dialog.close();
        done(now);
      },
      (error: Error) => {
        save.disabled = false;
        say(why, error.message);
      },
    );
  });
  document.body.append(dialog);
  dialog.showModal();
}
