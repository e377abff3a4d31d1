// Files that are to go with a message: chosen, dropped or pasted, and shown until they are sent.
import { button, el, say } from '../dom';
import { bytes, counted } from '../format';

/** Files of a message, and bytes of each, as the chat takes them. */
const MOST = 10;
const LARGEST = 20 * 1024 * 1024;

/** Which of some more a message may have beside those that it `has`, and why the others, or a folder that came with them, are left out. Pure. */
export function fitting<T extends { name: string; size: number }>(has: number, more: readonly T[], folder = false): { taken: T[]; why: string } {
  const small = more.filter(({ size }) => size <= LARGEST);
  const taken = small.slice(0, Math.max(0, MOST - has));
  const large = more.find(({ size }) => size > LARGEST);
  const why = [folder && 'A folder cannot be sent: open it, and take the files in it.', large && `“${large.name}” is larger than 20 MiB.`, taken.length < small.length && `A message has ${MOST} files at most.`];
  return { taken, why: why.filter(Boolean).join(' ') };
}

export interface Choosing {
  /** The button that chooses. */
  button: HTMLElement;
  /** What was chosen. */
  tray: HTMLElement;
  /** Adds some; `folder`: there was one among them. */
  add: (more: readonly File[], folder?: boolean) => void;
  clear: () => void;
  /** Whether it is to be seen. */
  show: (on: boolean) => void;
}

/** Chooses `files`, which are brought up to date; what is left out is said in `wrong`. */
export function choosing(files: File[], wrong: HTMLElement): Choosing {
  const input = el('input', { type: 'file', multiple: true, class: 'hidden', tabindex: '-1', 'aria-hidden': 'true', 'data-testid': 'files' });
  const attach = button('+', { class: 'quiet attach', 'aria-label': 'Attach files', title: 'Attach files', 'data-testid': 'attach' }, () => input.click());
  const list = el('ul', { class: 'chosen-files', 'aria-label': 'Files to send', 'data-testid': 'chosen-files' });
  const told = el('span', { class: 'hidden', role: 'status' });
  const tray = el('div', { class: 'files-tray' }, list, told);
  const choose = el('span', { class: 'attach-place' }, attach, input);
  const draw = () => {
    list.replaceChildren(...files.map(chip));
    list.hidden = files.length === 0;
    say(told, files.length > 0 ? `${counted(files.length, 'file')} to send` : '');
  };
  const drop = (n: number) => {
    files.splice(n, 1);
    say(wrong, '');
    draw();
    (list.children[Math.min(n, files.length - 1)]?.querySelector('button') ?? attach).focus();
  };
  const chip = ({ name, size }: File, n: number) =>
    el('li', { class: 'chosen-file' }, el('span', { class: 'file-name' }, name), el('span', { class: 'dim number' }, bytes(size)), button('×', { class: 'quiet', 'aria-label': `Remove ${name}` }, () => drop(n)));
  const add = (more: readonly File[], folder = false) => {
    const { taken, why } = fitting(files.length, more, folder);
    files.push(...taken);
    say(wrong, why);
    draw();
  };
  const clear = () => {
    files.length = 0;
    draw();
  };
  input.addEventListener('change', () => {
    add([...(input.files ?? [])]);
    input.value = '';
  });
  draw();
  return { button: choose, tray, add, clear, show: (on) => (tray.hidden = choose.hidden = !on) };
}

/** Takes files that are dropped on a place, or pasted in it; `folder`: one came with them. */
export function receive(place: HTMLElement, add: (files: File[], folder: boolean) => void): void {
  const brings = ({ dataTransfer }: DragEvent) => dataTransfer?.types.includes('Files') ?? false;
  place.addEventListener('dragover', (event) => {
    if (!brings(event)) return;
    event.preventDefault();
    place.dataset.drop = '';
  });
  place.addEventListener('dragleave', ({ relatedTarget }) => {
    if (!(relatedTarget instanceof Node && place.contains(relatedTarget))) delete place.dataset.drop;
  });
  place.addEventListener('drop', (event) => {
    delete place.dataset.drop;
    if (!brings(event)) return;
    event.preventDefault();
    // A folder comes as a file that nobody can read.
    const items = [...(event.dataTransfer?.items ?? [])].filter((item) => item.kind === 'file');
    const files = items.filter((item) => !item.webkitGetAsEntry()?.isDirectory);
    add(files.flatMap((item) => item.getAsFile() ?? []), files.length < items.length);
  });
  place.addEventListener('paste', (event) => {
    const data = event.clipboardData;
    // What an office program copies is a picture too; whoever pastes it wants the words.
    if (!data || data.files.length === 0 || (data.types.includes('text/plain') && data.types.includes('text/html'))) return;
    event.preventDefault();
    add([...data.files], false);
  });
}
