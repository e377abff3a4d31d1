// A private video's token travels in the query of what is asked for: of its own media, and of nothing else. Pure.

export interface Ticket {
  /** The video. */
  id: string;
  /** The query parameter that carries the token. */
  param: string;
  token: string;
}

/** A URL with the token, if it is of the video's media. */
export function admitted(url: string, base: string, ticket: Ticket | null): string {
  if (!ticket) return url;
  const at = new URL(url, base);
  if (!at.pathname.startsWith(`/v/${ticket.id}/`)) return url;
  at.searchParams.set(ticket.param, ticket.token);
  return at.href;
}
