// Who is at the page: an operator's token, kept for this tab alone, and the requests that bear it.

export type Role = 'viewer' | 'operator' | 'admin';

export interface Me {
  name: string;
  role: Role;
  /** True where no operator is configured: a page may read then, and change nothing. */
  local: boolean;
}

const KEPT = 'sluice-operator';
const ORDER: Role[] = ['viewer', 'operator', 'admin'];

/** What the server refuses it with, in words. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** Takes the token out of the address (`#token=...`), where it would be seen, into this tab's storage. */
export function fromAddress(): void {
  const token = new URLSearchParams(location.hash.slice(1)).get('token');
  if (!token) return;
  keep(token);
  history.replaceState(null, '', location.pathname + location.search);
}

export const keep = (token: string): void => sessionStorage.setItem(KEPT, token.trim());
export const forget = (): void => sessionStorage.removeItem(KEPT);

/** True when this role may do what takes another. The server has the last word. */
export const may = (me: Me, least: Role): boolean => (me.local ? least === 'viewer' : ORDER.indexOf(me.role) >= ORDER.indexOf(least));

/** A request that bears the token. */
export async function send(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  const token = sessionStorage.getItem(KEPT);
  if (token) headers.set('authorization', `Bearer ${token}`);
  const answer = await fetch(path, { ...init, headers });
  if (answer.ok) return answer;
  const problem = (await answer.json().catch(() => ({}))) as { title?: string; detail?: string };
  throw new Refused(answer.status, problem.detail ?? problem.title ?? `the server answered ${answer.status}`);
}

export async function ask<T>(path: string, init?: RequestInit): Promise<T> {
  return (await (await send(path, init)).json()) as T;
}

/** Sends JSON. */
export function post<T>(path: string, body: unknown): Promise<T> {
  return ask(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
}

export const whoami = (): Promise<Me> => ask('/v1/me');
