// What this page has written: whatever it reads from then on shows at least that, on any edge. And what it has read: from
// there on it listens.

/** Tags remembered: those of the last writes, and of the last reads. */
const MOST = { written: 16, read: 512 } as const;

const written = new Map<string, number>();
const read = new Map<string, number>();

function keep(into: Map<string, number>, most: number, members: string): void {
  for (const member of members.split(' ')) {
    const at = member.lastIndexOf('=');
    const version = Number(member.slice(at + 1));
    if (at < 1 || !Number.isSafeInteger(version)) continue;
    const tag = member.slice(0, at);
    const newest = Math.max(version, into.get(tag) ?? 0);
    into.delete(tag);
    into.set(tag, newest);
    if (into.size > most) into.delete(into.keys().next().value as string);
  }
}

/** Notes what the answer to a write says it made: `Sluice-Version`. */
export function note(header: string | null): void {
  keep(written, MOST.written, header ?? '');
}

/** Notes what was told of: reads from then on show at least that. */
export function demand(tag: string, version: number): void {
  keep(written, MOST.written, `${tag}=${version}`);
}

/** What a read is to show at least, as `Sluice-At-Least` says it. */
export function atLeast(): string {
  return [...written].map(([tag, version]) => `${tag}=${version}`).join(' ');
}

/** Notes which versions an answer to a read shows. */
export function noteShown(header: string | null): void {
  keep(read, MOST.read, header ?? '');
}

/** The version of a tag that was read last. */
export const shownAt = (tag: string): number | undefined => read.get(tag);
