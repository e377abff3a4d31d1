// Pages of one app: links between them change the address and what is shown, and the connection stays.
import { el } from './dom';
import { app, below } from './route';

/** What a page is drawn into, for as long as it is shown. */
export interface View {
  main: HTMLElement;
  /** The page is left. */
  until: AbortSignal;
}

type Show = (place: string[], view: View) => Promise<void> | void;

let shown = new AbortController();
let draw: (() => void) | null = null;
/** What of the address is shown. */
let drawn = '';

const address = (): string => location.pathname + location.search;

/** Shows what the address says, and follows links within the app. */
export function views(main: HTMLElement, show: Show): void {
  draw = () => {
    drawn = address();
    shown.abort();
    shown = new AbortController();
    const { signal } = shown;
    main.replaceChildren();
    const place = below(location.pathname);
    void (async () => show(place, { main, until: signal }))().catch((error: Error) => {
      if (!signal.aborted) main.append(trouble(error));
    });
  };
  document.addEventListener('click', follow);
  // Going to a part of the same page changes nothing that is shown.
  addEventListener('popstate', () => address() !== drawn && draw?.());
  draw();
}

/** Goes to a page of the same app. */
export function go(path: string): void {
  history.pushState(null, '', path);
  draw?.();
  scrollTo(0, 0);
  document.querySelector<HTMLElement>('#main')?.focus({ preventScroll: true });
}

function follow(event: MouseEvent): void {
  const link = (event.target as Element | null)?.closest?.('a');
  if (!link || event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  if (link.target || link.hasAttribute('download') || link.origin !== location.origin || link.hash) return;
  const to = app(link.pathname);
  if (to === 'videos' || to !== app(location.pathname)) return;
  event.preventDefault();
  go(link.pathname);
}

/** What stands where something could not be had; `anew` tries again, without it the page is drawn once more. */
export function trouble(error: Error, anew: () => void = () => draw?.()): HTMLElement {
  const again = el('button', { type: 'button', class: 'quiet' }, 'Try again');
  again.addEventListener('click', anew);
  return el('section', { class: 'invitation', role: 'alert', 'data-testid': 'trouble' }, el('p', { class: 'why' }, error.message), again);
}

/** What stands where there is nothing: what to do about it. */
export function empty(title: string, words: string, ...way: HTMLElement[]): HTMLElement {
  return el('section', { class: 'invitation', 'data-testid': 'empty' }, el('h2', {}, title), el('p', { class: 'dim' }, words), ...way);
}
