/** The video that a path watches, or null. */
export function watched(path: string): string | null {
  return /^\/watch\/([0-9a-z]{1,20})\/?$/.exec(path)?.[1] ?? null;
}
