// The purge: what is to be forgotten, and which edge has done so after how long.
import { el } from '../dom';
import { millis } from './fleet';
import { type Me, may, post } from './session';

/** Milliseconds to wait for every edge. */
const WAIT = 5000;

interface Answer {
  purged: { tag: string; version: number }[];
  applied?: { seq: number; nodes: string[]; after_ms: number; took_ms: Record<string, number> };
}

const KINDS = [
  ['tags', 'Tags', 'video:05b05hcr0ydvv'],
  ['urls', 'URLs', '/v/05b05hcr0ydvv/master.m3u8'],
  ['prefixes', 'Prefixes', '/v/05b05hcr0ydvv/'],
] as const;

export function purge(me: Me, changed: () => void): HTMLElement {
  const what = el('select', { id: 'purge-kind', 'data-testid': 'purge-kind' }, ...KINDS.map(([key, name]) => el('option', { value: key }, name)));
  const list = el('textarea', { id: 'purge-list', rows: '3', spellcheck: 'false', required: true, 'data-testid': 'purge-list' });
  const soft = el('input', { type: 'checkbox', id: 'purge-soft' });
  const button = el('button', { type: 'submit', class: 'button', 'data-testid': 'purge' }, 'Purge');
  const result = el('div', { class: 'result', role: 'status', 'data-testid': 'purge-result' });
  const hint = () => (list.placeholder = KINDS.find(([key]) => key === what.value)![2]);
  what.addEventListener('change', hint);
  hint();
  button.disabled = !may(me, 'operator');
  const form = el(
    'form',
    { class: 'purge-form' },
    el('div', { class: 'field' }, el('label', { for: 'purge-kind' }, 'What'), what),
    el('div', { class: 'field' }, el('label', { for: 'purge-list' }, 'One a line'), list),
    el('div', { class: 'actions' }, button, el('label', { class: 'check' }, soft, 'Soft: copies may be validated')),
    button.disabled && el('p', { class: 'dim' }, 'This takes an operator.'),
  );
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const named = list.value.split('\n').map((line) => line.trim()).filter(Boolean);
    button.disabled = true;
    result.replaceChildren(el('p', { class: 'dim' }, 'Committing, and waiting for every edge…'));
    post<Answer>(`/v1/purge?wait=${WAIT}`, { [what.value]: named, soft: soft.checked })
      .then((answer) => result.replaceChildren(...told(answer)), (error: Error) => result.replaceChildren(el('p', { class: 'why' }, error.message)))
      .finally(() => {
        button.disabled = false;
        changed();
      });
  });
  return el('section', { class: 'panel', 'aria-label': 'Purge' }, el('h2', {}, 'Purge'), form, result);
}

function told({ purged, applied }: Answer): HTMLElement[] {
  const many = `${purged.length} ${purged.length === 1 ? 'purge' : 'purges'}`;
  if (!applied) return [el('p', {}, `${many} committed; not every edge has said within ${WAIT / 1000} s that it has applied them.`)];
  const took = Object.entries(applied.took_ms).sort((a, b) => a[1] - b[1]);
  const most = Math.max(...took.map(([, ms]) => ms), 1);
  const line = ([node, ms]: [string, number]) => {
    const bar = el('span', { class: 'meter', 'aria-hidden': 'true' });
    bar.style.width = `${Math.max(2, (ms / most) * 100)}%`;
    return el('li', {}, el('span', {}, node), el('span', { class: 'track' }, bar), el('strong', {}, millis(ms)));
  };
  return [el('p', {}, `${many}, applied by ${took.length} edges within ${millis(applied.after_ms)}.`), el('ul', { class: 'took' }, ...took.map(line))];
}
