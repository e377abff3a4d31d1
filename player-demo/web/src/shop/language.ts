// In which language the shop's texts are wanted: kept by the browser, and named in the address of whatever is asked for, so that what
// is kept on the way for one buyer is right for the next.

const KEPT = 'sluice_shop_language';
/** What can be chosen, beside what the browser is set to. */
const OFFERED = ['de', 'en', 'es', 'fr', 'it', 'ja', 'nl', 'pl', 'pt', 'zh'];

/** A tag in its usual case; empty for what is none. */
function canonical(tag: string): string {
  try {
    return Intl.getCanonicalLocales(tag)[0] ?? '';
  } catch {
    return '';
  }
}

/** The tag that was chosen; empty where texts are shown as they were first written. */
export const wanted = (): string => canonical(localStorage.getItem(KEPT) ?? '');

/** Chooses one, or none. */
export function want(tag: string): void {
  if (tag) localStorage.setItem(KEPT, tag);
  else localStorage.removeItem(KEPT);
}

/** Tags to choose from, each once: what is chosen, what the browser is set to, and others. */
export const offered = (chosen: string, browser: readonly string[]): string[] => [...new Set([chosen, ...browser, ...OFFERED].map(canonical).filter(Boolean))];

/** What a language calls itself. */
export function called(tag: string): string {
  try {
    return new Intl.DisplayNames([tag], { type: 'language' }).of(tag) ?? tag;
  } catch {
    return tag;
  }
}
