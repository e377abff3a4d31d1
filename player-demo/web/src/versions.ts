// What this page has written: whatever it reads from then on shows at least that, on any edge.

/** Tags remembered: those of the last writes. */
const MOST = 16;

const written = new Map<string, number>();

/** Notes what the answer to a write says it made: `Sluice-Version`, or `versions` in its document. */
export function note(header: string | null, body: unknown): void {
  const said = (body as { versions?: Record<string, number> | string } | null)?.versions;
  const listed = said && typeof said === 'object' ? Object.entries(said).map(([tag, version]) => `${tag}=${version}`) : [said ?? ''];
  for (const member of [header ?? '', ...listed].join(' ').split(' ')) {
    const at = member.lastIndexOf('=');
    const version = Number(member.slice(at + 1));
    if (at < 1 || !Number.isSafeInteger(version)) continue;
    const tag = member.slice(0, at);
    const newest = Math.max(version, written.get(tag) ?? 0);
    written.delete(tag);
    written.set(tag, newest);
    if (written.size > MOST) written.delete(written.keys().next().value as string);
  }
}

/** What a read is to show at least, as `Sluice-At-Least` says it. */
export function atLeast(): string {
  return [...written].map(([tag, version]) => `${tag}=${version}`).join(' ');
}
