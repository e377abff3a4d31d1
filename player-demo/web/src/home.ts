// The home page: upload, and the library.
import { get, list, type Page, type Video } from './api';
import { card } from './card';
import { filters } from './filters';
import { el, say } from './dom';
import { turns } from './turns';
import { upload } from './upload';

export function home(main: HTMLElement): void {
  document.title = 'Sluice';
  const grid = el('div', { class: 'grid', 'aria-busy': 'true' });
  const more = el('button', { type: 'button', class: 'more', hidden: true }, 'Show more');
  const note = el('p', { class: 'empty-note', hidden: true }, 'Nothing here yet. Upload a video: it can be watched while the rest of it is still being transcoded.');
  const none = el('p', { class: 'empty-note', hidden: true, 'data-testid': 'none' }, 'No video matches.');
  const wrong = el('p', { class: 'why', role: 'alert' });
  const bar = filters(() => load(true));
  main.append(drop((id) => void arrived(id)), el('section', { 'aria-label': 'Library' }, el('div', { class: 'library-head' }, el('h2', {}, 'Library'), bar.root), grid, note, none, wrong, more));
  for (let i = 0; i < 3; i += 1) grid.append(el('div', { class: 'card skeleton', 'aria-hidden': 'true' }));

  let next: string | null = null;
  const inTurn = turns(more);
  let shown = new AbortController();
  const draw = (video: Video) => card(video, { tag: bar.tag, until: shown.signal });
  const clear = () => {
    shown.abort();
    shown = new AbortController();
    grid.replaceChildren();
  };
  const load = (anew: boolean) => {
    const asked = bar.asked();
    const all = asked.shown === 'all' && !asked.q && asked.tags.length === 0;
    const show = (page: Page) => {
      if (anew) clear();
      next = page.next;
      say(wrong, '');
      grid.append(...page.videos.map(draw));
      const empty = grid.childElementCount === 0;
      note.hidden = !empty || !all;
      none.hidden = !empty || all;
      grid.removeAttribute('aria-busy');
      more.hidden = next === null;
    };
    inTurn((signal) => list(asked, anew ? null : next, signal), show).catch((error: Error) => {
      // What is shown is not what was asked for; that nothing can be shown is not that there is nothing.
      if (anew) {
        show({ videos: [], next: null });
        note.hidden = none.hidden = true;
      }
      say(wrong, `The library cannot be read: ${error.message}`);
    });
  };
  async function arrived(id: string): Promise<void> {
    note.hidden = true;
    none.hidden = true;
    grid.prepend(draw(await get(id)));
  }
  more.addEventListener('click', () => load(false));
  load(true);
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
