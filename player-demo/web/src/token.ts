// A token travels in the query of what is asked for: of a private video all of its own media, of one that is sealed and for
// everybody its keys, and of nothing else. Pure.

export interface Ticket {
  /** The video. */
  id: string;
  /** The query parameter that carries the token. */
  param: string;
  token: string;
  /** What it is sent with. */
  opens: 'media' | 'keys';
}

/** What of a video asks for a token, if anything does. */
export function guarded(video: { visibility: string; protection: string }): Ticket['opens'] | null {
  if (video.visibility === 'private') return 'media';
  return video.protection === 'none' ? null : 'keys';
}

/** A URL with the token, if it is of what the token opens. */
export function admitted(url: string, base: string, ticket: Ticket | null): string {
  if (!ticket) return url;
  const at = new URL(url, base);
  const below = `/v/${ticket.id}/`;
  const inside = (ticket.opens === 'media' ? [below] : [`${below}keys/`, `${below}licence`]).some((path) => at.pathname.startsWith(path));
  if (!inside) return url;
  at.searchParams.set(ticket.param, ticket.token);
  return at.href;
}
