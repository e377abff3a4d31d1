// Cache-Status (RFC 9211): what each cache on the way did. Pure.

export interface Hop {
  node: string;
  /** `hit`, or why it was forwarded: `miss`, `stale`, `bypass`... */
  outcome: string;
}

/** Splits at a separator that is in no quoted string. */
function split(text: string, separator: string): string[] {
  const parts: string[] = [];
  let part = '';
  let quoted = false;
  for (const c of text) {
    if (c === '"') quoted = !quoted;
    if (c === separator && !quoted) {
      parts.push(part.trim());
      part = '';
    } else part += c;
  }
  return [...parts, part.trim()].filter(Boolean);
}

export function parseCacheStatus(field: string): Hop[] {
  return split(field, ',').map((member) => {
    const [name = '', ...parameters] = split(member, ';');
    const forwarded = parameters.find((p) => p.startsWith('fwd='))?.slice(4);
    const outcome = parameters.includes('hit') ? 'hit' : (forwarded ?? 'unknown');
    return { node: name.replaceAll('"', ''), outcome };
  });
}

/** The cache nearest to the viewer. */
export function lastHop(field: string): Hop | null {
  return parseCacheStatus(field).at(-1) ?? null;
}
