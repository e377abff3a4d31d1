// What of the library is shown: words, a tag, who sees it. It stands in the page's address, too.
import type { Asked, Shown } from './api';
import { el } from './dom';

/** Silence after a key before a question is asked, in milliseconds. */
const PAUSE = 180;

const SHOWN: [Shown, string][] = [['all', 'All'], ['public', 'Public'], ['unlisted', 'Unlisted'], ['private', 'Private'], ['deleted', 'Deleted']];

export interface Filters {
  root: HTMLElement;
  asked: () => Asked;
  /** Shows the videos of a tag. */
  tag: (tag: string) => void;
}

/** The bar above the library; `changed` is called when something else is to be shown. */
export function filters(changed: () => void): Filters {
  const from = new URLSearchParams(location.search);
  let tags = from.getAll('tag');
  let shown = SHOWN.map(([name]) => name).find((name) => name === from.get('show')) ?? 'all';
  const words = el('input', { type: 'search', class: 'search', placeholder: 'Search', 'aria-label': 'Search the library', 'data-testid': 'search', value: from.get('q') ?? '', maxlength: '100' });
  const chosen = el('div', { class: 'chips', 'data-testid': 'chosen-tags' });
  const kinds = el('div', { class: 'kinds', role: 'radiogroup', 'aria-label': 'Who sees them' });

  const tell = () => {
    const to = new URLSearchParams();
    if (words.value.trim()) to.set('q', words.value.trim());
    for (const tag of tags) to.append('tag', tag);
    if (shown !== 'all') to.set('show', shown);
    history.replaceState(null, '', to.size ? `/?${to.toString()}` : '/');
    draw();
    changed();
  };
  const draw = () => {
    chosen.replaceChildren(
      ...tags.map((tag) => {
        const chip = el('button', { type: 'button', class: 'chip on', 'aria-label': `No longer only ${tag}` }, `${tag} ×`);
        chip.addEventListener('click', () => {
          tags = tags.filter((one) => one !== tag);
          tell();
        });
        return chip;
      }),
    );
    for (const node of kinds.children) node.setAttribute('aria-checked', String((node as HTMLElement).dataset.show === shown));
  };
  for (const [name, text] of SHOWN) {
    const kind = el('button', { type: 'button', class: 'kind', role: 'radio', 'data-show': name, 'data-testid': `show-${name}` }, text);
    kind.addEventListener('click', () => {
      shown = name;
      tell();
    });
    kinds.append(kind);
  }
  let timer = 0;
  words.addEventListener('input', () => {
    clearTimeout(timer);
    timer = window.setTimeout(tell, PAUSE);
  });
  draw();
  return {
    root: el('div', { class: 'filters' }, words, kinds, chosen),
    asked: () => ({ q: words.value.trim(), tags, shown }),
    tag: (tag) => {
      if (tags.includes(tag)) return;
      tags = [...tags, tag];
      tell();
      words.scrollIntoView({ block: 'nearest' });
    },
  };
}
