// Where a message is written, and where one that was sent is changed.
import { el, say } from '../dom';
import { holds } from '../unsaved';
import { choosing } from './files';

/** What was begun in each conversation and not sent. */
const drafts = new Map<string, { text: string; files: File[] }>();
holds(() => [...drafts.values()].some(({ files }) => files.length > 0));

/** Characters of a message, as the chat and the field count them. */
const LONGEST = 4000;

/** Whether some of what is pasted between two places of a text has no room in it. Pure. */
export const overflows = (text: string, from: number, to: number, pasted: string): boolean => text.length - (to - from) + pasted.replaceAll('\r\n', '\n').length > LONGEST;

export interface Composer {
  root: HTMLFormElement;
  /** Has a message changed instead of a new one sent; `null` goes back. */
  edit: (text: string, done: (text: string) => Promise<unknown>) => void;
  focus: () => void;
  /** Takes files that are to go with the message; `folder`: one came with them. */
  attach: (files: readonly File[], folder?: boolean) => void;
}

/** `send` is false where nothing more can be sent just now, `typed` is told with each letter, `last` opens the newest message of one's own. */
export function composer(room: string, send: (text: string, files: readonly File[]) => boolean, typed: () => void, last: () => void): Composer {
  const text = el('textarea', { rows: '1', maxlength: String(LONGEST), placeholder: 'Message', 'aria-label': 'Message', 'data-testid': 'message', autocomplete: 'off' });
  const button = el('button', { type: 'submit', 'data-testid': 'send' }, 'Send');
  const cancel = el('button', { type: 'button', class: 'quiet', hidden: true }, 'Cancel');
  const word = el('p', { class: 'dim', role: 'status', hidden: true }, 'You are changing a message. Escape leaves it as it is.');
  const wrong = el('p', { class: 'why', role: 'alert' });
  const draft = drafts.get(room) ?? { text: '', files: [] };
  drafts.set(room, draft);
  const files = choosing(draft.files, wrong);
  const root = el('form', { class: 'say' }, word, wrong, files.tray, el('div', { class: 'say-row' }, files.button, text, cancel, button));
  let editing: ((text: string) => Promise<unknown>) | null = null;
  const size = () => {
    text.style.height = 'auto';
    text.style.height = `${Math.min(text.scrollHeight + 2, 160)}px`;
  };
  const put = (value: string) => {
    text.value = value;
    size();
  };
  const leave = () => {
    editing = null;
    word.hidden = cancel.hidden = true;
    say(button, 'Send');
    say(wrong, '');
    files.show(true);
    put(draft.text);
    text.focus();
  };
  text.addEventListener('input', () => {
    size();
    if (editing) return;
    draft.text = text.value;
    if (text.value.trim()) typed();
  });
  text.addEventListener('keydown', (event) => {
    // Some browsers say only so that the key was of something that is being composed.
    if (event.isComposing || event.keyCode === 229) return;
    if (event.key === 'Enter' && !event.shiftKey) {
      event.preventDefault();
      root.requestSubmit();
    } else if (event.key === 'Escape' && editing) leave();
    else if (event.key === 'ArrowUp' && text.value === '' && !editing) {
      event.preventDefault();
      last();
    }
  });
  text.addEventListener('paste', ({ clipboardData }) => {
    const pasted = clipboardData?.getData('text/plain') ?? '';
    if (overflows(text.value, text.selectionStart, text.selectionEnd, pasted)) say(wrong, 'A message has 4,000 characters at most: the end of what was pasted is left out.');
  });
  cancel.addEventListener('click', leave);
  root.addEventListener('submit', (event) => {
    event.preventDefault();
    const value = text.value.trim();
    if (!value && (editing || draft.files.length === 0)) return;
    if (editing) {
      if (button.disabled) return;
      button.disabled = true;
      editing(value).then(leave, (error: Error) => say(wrong, error.message)).finally(() => (button.disabled = false));
      return;
    }
    if (!send(value, [...draft.files])) return say(wrong, 'Too many messages wait to be sent. This one stays here until some of them are.');
    say(wrong, '');
    draft.text = '';
    files.clear();
    put('');
  });
  put(draft.text);
  // It has a height once it is on the page.
  requestAnimationFrame(size);
  const edit = (value: string, done: (text: string) => Promise<unknown>) => {
    editing = done;
    word.hidden = cancel.hidden = false;
    say(button, 'Save');
    say(wrong, '');
    files.show(false);
    put(value);
    text.focus();
    text.setSelectionRange(value.length, value.length);
  };
  const attach = (more: readonly File[], folder = false) => {
    if (editing) return say(wrong, 'A message that is changed takes no more files.');
    files.add(more, folder);
    text.focus();
  };
  return { root, edit, focus: () => text.focus(), attach };
}
