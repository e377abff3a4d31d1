// Who is signed in: one account for every app. Tokens are in cookies that no script reads.
import { atLeast, note, noteShown } from './versions';

export interface Me {
  account: string;
  handle: string;
  roles: string[];
}

/** An answer that is no success: its status, and the problem's own words (RFC 9457). */
export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly kind: string,
    words: string,
  ) {
    super(words);
  }
}

async function refused(answer: Response): Promise<Refused> {
  const problem = (await answer.json().catch(() => ({}))) as { type?: string; title?: string; detail?: string };
  const words = problem.detail || problem.title || `the server answered ${answer.status}`;
  return new Refused(answer.status, problem.type?.split(/[:/]/).pop() ?? '', words);
}

let renewing: Promise<boolean> | null = null;

/** Renews the session once, however many ask. */
function renew(): Promise<boolean> {
  renewing ??= fetch('/v1/accounts/refresh', { method: 'POST' })
    .then((answer) => answer.ok, () => false)
    .finally(() => (renewing = null));
  return renewing;
}

export interface Asking {
  method?: string;
  /** A document, or a file as it is. */
  body?: unknown;
  /** Whoever sends it again with the same key has it done once. */
  key?: string;
}

/** Asks the edge, and renews the session where its token has run out. */
export async function ask<T>(path: string, { method = 'GET', body, key }: Asking = {}): Promise<T> {
  const headers: Record<string, string> = { accept: 'application/json' };
  const file = body instanceof Blob;
  if (body !== undefined) headers['content-type'] = file ? body.type : 'application/json';
  if (key) headers['idempotency-key'] = key;
  const reads = method === 'GET';
  const written = reads && atLeast();
  if (written) headers['sluice-at-least'] = written;
  // The edge has what is new; what the browser kept a moment ago may not be.
  const sent = body === undefined ? null : file ? body : JSON.stringify(body);
  const send = () => fetch(path, { method, headers, cache: reads ? 'no-cache' : 'default', body: sent });
  let answer = await send();
  if (answer.status === 401 && !path.startsWith('/v1/accounts/session') && (await renew())) answer = await send();
  if (!answer.ok) throw await refused(answer);
  const told = (answer.status === 204 ? null : await answer.json()) as T;
  const versions = answer.headers.get('sluice-version');
  if (reads) noteShown(versions);
  else note(versions, told);
  return told;
}

let known: Promise<Me | null> | null = null;

/** The cookie without a secret that is there while a session may be. */
const KNOWN = 'sluice_known=1';

/** The account, or null where nobody is signed in. */
export function me(): Promise<Me | null> {
  if (!document.cookie.split('; ').includes(KNOWN)) return Promise.resolve(null);
  known ??= ask<Me>('/v1/accounts/me').catch((error: unknown) => {
    if (error instanceof Refused && error.status === 401) return null;
    throw error;
  });
  return known;
}

export type SignIn = { handle: string; password: string };

export async function enter(as: SignIn, anew: boolean): Promise<void> {
  await ask(anew ? '/v1/accounts' : '/v1/accounts/session', { method: 'POST', body: as });
  known = null;
}

export async function leave(): Promise<void> {
  await ask('/v1/accounts/session', { method: 'DELETE' });
  known = null;
}
