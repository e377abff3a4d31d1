// A list that is asked for anew and gone on with: of two questions the later one is answered.

/** Asks, and shows what came unless something else was asked meanwhile; the button that goes on is held until then. */
export function turns(more: HTMLButtonElement): <T>(ask: (signal: AbortSignal) => Promise<T>, show: (told: T) => void) => Promise<void> {
  let asking = new AbortController();
  return async (ask, show) => {
    asking.abort();
    asking = new AbortController();
    const { signal } = asking;
    more.disabled = true;
    try {
      const told = await ask(signal);
      if (!signal.aborted) show(told);
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      if (!signal.aborted) more.disabled = false;
    }
  };
}
