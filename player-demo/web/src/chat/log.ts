// The lines of a conversation, kept in step with its story: what did not change stays as it is on the page.
import { el } from '../dom';
import { day } from '../format';
import type { Entry } from './story';

/** Milliseconds after which the same author's next message stands alone. */
const APART = 5 * 60_000;

/** A node of the log, with what it was made of. */
interface Kept {
  made: string;
  node: HTMLElement;
}

/** How an entry is drawn: `key` says what it looks like now, `make` makes it, or brings up to date the node that it `was`. `head`: it
 * begins a group of its author's. */
export interface Drawn {
  key: (entry: Entry, head: boolean) => string;
  make: (entry: Entry, head: boolean, was?: HTMLElement) => HTMLElement;
}

export class Log {
  readonly root: HTMLElement;
  private first = 0;
  /** Whether the newest was in sight when somebody scrolled last. */
  private ended = true;
  private readonly nodes = new Map<string, Kept>();

  constructor(label: string) {
    this.root = el('div', { class: 'said', role: 'log', 'aria-label': label, 'data-testid': 'said', tabindex: '0' });
    this.root.addEventListener('scroll', () => (this.ended = this.atEnd()));
    // What grows beside it, as the field and its files do, takes that from its end.
    const Sizes = globalThis.ResizeObserver as typeof ResizeObserver | undefined;
    if (Sizes) new Sizes(() => this.stay()).observe(this.root);
  }

  /** Draws entries between what stands at the top and at the end. Whoever is at the end stays there; others stay where they are. */
  draw(entries: readonly Entry[], newAfter: number, { key, make }: Drawn, top: HTMLElement[], tail: HTMLElement[]): void {
    const { root } = this;
    const [ended, was, first] = [this.atEnd(), { height: root.scrollHeight, top: root.scrollTop }, this.first];
    this.first = entries[0]?.seq ?? 0;
    const wanted: HTMLElement[] = [...top];
    const used = new Set<string>();
    const keep = (name: string, made: string, build: (was?: HTMLElement) => HTMLElement) => {
      used.add(name);
      const known = this.nodes.get(name);
      const node = known?.made === made ? known.node : build(known?.node);
      if (known && known.node !== node && known.node.parentNode === root) known.node.replaceWith(node);
      this.nodes.set(name, { made, node });
      wanted.push(node);
    };
    let before: Entry | null = null;
    for (const entry of entries) {
      const date = day(entry.at_ms, Date.now());
      const turns = !before || date !== day(before.at_ms, Date.now());
      if (turns) keep(`day-${date}`, date, () => el('p', { class: 'note day' }, date));
      const marked = newAfter > 0 && entry.seq > newAfter && (!before || before.seq <= newAfter) && before !== null;
      if (marked) keep('new', 'new', () => el('p', { class: 'note fresh-mark' }, 'New'));
      const head = turns || marked || !before?.message || before.message.from !== entry.message?.from || entry.at_ms - before.at_ms > APART;
      keep(String(entry.seq), key(entry, head), (was) => make(entry, head, was));
      before = entry;
    }
    for (const [name, { node }] of this.nodes) {
      if (used.has(name)) continue;
      node.remove();
      this.nodes.delete(name);
    }
    place(root, [...wanted, ...tail]);
    // What is put in above pushes what was there down.
    const older = first > 0 && this.first < first;
    root.scrollTop = ended && !older ? root.scrollHeight : older ? was.top + root.scrollHeight - was.height : was.top;
  }

  /** Whether the newest is in sight. */
  atEnd(): boolean {
    const { scrollHeight, scrollTop, clientHeight } = this.root;
    return scrollHeight - scrollTop - clientHeight < 80;
  }

  /** Has whoever was at the end be there still; who has scrolled stays. */
  stay(): void {
    if (this.ended) this.toEnd();
  }

  toEnd(): void {
    this.ended = true;
    this.root.scrollTop = this.root.scrollHeight;
  }
}

/** Has a parent have these children, and moves only what is not where it is to be. */
export function place(parent: HTMLElement, children: HTMLElement[]): void {
  let at: ChildNode | null = parent.firstChild;
  for (const child of children) {
    if (child === at) at = at.nextSibling;
    else parent.insertBefore(child, at);
  }
  while (at) {
    const next: ChildNode | null = at.nextSibling;
    at.remove();
    at = next;
  }
}
