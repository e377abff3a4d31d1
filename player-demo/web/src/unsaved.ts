// What would be lost with the page: the browser asks before it is left.

const holders: (() => boolean)[] = [];

/** Whether anything would be lost. */
export const wouldLose = (): boolean => holders.some((any) => any());

/** Has the browser ask before the page is left while `any` is true. */
export function holds(any: () => boolean): void {
  // A page that asks is not kept by every browser for whoever goes back: only those do that have something.
  if (holders.length === 0) globalThis.window?.addEventListener('beforeunload', (event) => wouldLose() && event.preventDefault());
  holders.push(any);
}

/** Loads the page anew without a question: somebody signed in or out, and what is here would go under another name. */
export function anew(): void {
  holders.length = 0;
  location.reload();
}
