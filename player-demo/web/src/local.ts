// Paths that others have written, before they become pictures and links. Pure.

/** A path of this site as it is asked for; null for one that leads elsewhere, however a browser reads it. */
export function local(path: string, origin: string): string | null {
  if (!path.startsWith('/')) return null;
  try {
    const at = new URL(path, origin);
    return at.origin === origin ? `${at.pathname}${at.search}${at.hash}` : null;
  } catch {
    return null;
  }
}
