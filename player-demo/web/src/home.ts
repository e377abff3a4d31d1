// The home page: upload, and the library.
import { get, list, type Video } from './api';
import { card } from './card';
import { el } from './dom';
import { upload } from './upload';

export function home(main: HTMLElement): void {
  document.title = 'Sluice';
  const grid = el('div', { class: 'grid', 'aria-busy': 'true' });
  const more = el('button', { type: 'button', class: 'more', hidden: true }, 'Show more');
  const note = el('p', { class: 'empty-note', hidden: true }, 'Nothing here yet. Upload a video: it can be watched while the rest of it is still being transcoded.');
  main.append(drop((id) => void arrived(id)), el('section', { 'aria-label': 'Library' }, el('h2', {}, 'Library'), grid, note, more));
  for (let i = 0; i < 3; i += 1) grid.append(el('div', { class: 'card skeleton', 'aria-hidden': 'true' }));

  let next: string | null = null;
  const add = (videos: Video[]) => grid.append(...videos.map(card));
  const load = async () => {
    more.disabled = true;
    try {
      const page = await list(next ?? undefined);
      if (!next) grid.replaceChildren();
      next = page.next;
      add(page.videos);
      note.hidden = grid.childElementCount > 0;
    } catch (error) {
      grid.replaceChildren(el('p', { class: 'why', role: 'alert' }, `The library cannot be read: ${(error as Error).message}`));
    }
    grid.removeAttribute('aria-busy');
    more.hidden = next === null;
    more.disabled = false;
  };
  async function arrived(id: string): Promise<void> {
    note.hidden = true;
    grid.prepend(card(await get(id)));
  }
  more.addEventListener('click', () => void load());
  void load();
}

function drop(done: (id: string) => void): HTMLElement {
  const input = el('input', { type: 'file', accept: 'video/*,audio/*,.mkv,.ts', multiple: true, id: 'file', class: 'hidden', 'data-testid': 'upload-input' });
  const queue = el('ul', { class: 'uploads' });
  const zone = el(
    'section',
    { class: 'drop', 'aria-label': 'Upload' },
    el('div', { class: 'drop-text' }, el('h1', {}, 'Upload a video'), el('p', { class: 'dim' }, 'Drop files here, or choose them. A cut upload goes on where it stopped.')),
    el('label', { class: 'button', for: 'file' }, 'Choose files'),
    input,
    queue,
  );
  const take = (files: Iterable<File>) => {
    for (const file of files) queue.append(upload(file, done));
  };
  input.addEventListener('change', () => {
    take([...(input.files ?? [])]);
    input.value = '';
  });
  const over = (on: boolean) => (event: Event) => {
    event.preventDefault();
    zone.classList.toggle('over', on);
  };
  zone.addEventListener('dragover', over(true));
  zone.addEventListener('dragleave', over(false));
  zone.addEventListener('drop', (event) => {
    over(false)(event);
    take([...(event.dataTransfer?.files ?? [])]);
  });
  return zone;
}
