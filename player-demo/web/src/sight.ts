// What is in sight, or near it: only that is listened to, for a socket has room for so many channels.

/** How near: a screen above and below. */
const NEAR = '100% 0px';

const begins = new WeakMap<Element, (on: boolean) => void>();
let observer: IntersectionObserver | null = null;

/** Does something each time that a node comes near, and ends it when the node is away, is taken off the page, or the page is left. */
export function whileSeen(node: Element, until: AbortSignal, begin: () => () => void): void {
  if (until.aborted) return;
  if (!('IntersectionObserver' in globalThis)) return void until.addEventListener('abort', begin(), { once: true });
  observer ??= new IntersectionObserver((all) => {
    for (const { target, isIntersecting } of all) begins.get(target)?.(isIntersecting);
  }, { rootMargin: NEAR });
  let end: (() => void) | null = null;
  const seen = (on: boolean) => {
    if (on) end ??= begin();
    else {
      end?.();
      end = null;
    }
  };
  begins.set(node, seen);
  observer.observe(node);
  until.addEventListener('abort', () => {
    observer?.unobserve(node);
    begins.delete(node);
    seen(false);
  }, { once: true });
}
