// Who is signed in: one account for every app. Tokens are in cookies that no script reads.
import { unique } from './unique';
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

/** Nobody answered, or not to the end: there is no telling what became of it. */
export class Unheard extends Error {
  constructor() {
    super('There is no connection just now.');
  }
}

/** What a browser throws where no answer came. */
function unheard(error: unknown): never {
  throw error instanceof TypeError || (error as Error).name === 'TimeoutError' ? new Unheard() : error;
}

async function refused(answer: Response): Promise<Refused> {
  const problem = (await answer.json().catch(() => ({}))) as { type?: string; title?: string; detail?: string };
  const words = problem.detail || problem.title || `the server answered ${answer.status}`;
  return new Refused(answer.status, problem.type?.split(/[:/]/).pop() ?? '', words);
}

let renewing: Promise<boolean> | null = null;

/** When some tab of this browser renewed the session, in milliseconds of its clock. */
const RENEWED = 'sluice_renewed';
/** Milliseconds that a tab waits for its turn; what was renewed twice meanwhile is good all the same. */
const PATIENCE = 10_000;

function renewedAt(): number {
  try {
    return Number(localStorage.getItem(RENEWED) ?? 0);
  } catch {
    return 0;
  }
}

/** True where an answer says nothing of the session. */
const isTrouble = ({ status }: Response): boolean => status >= 500 || status === 408 || status === 429;

/** Renews the session, unless another tab has while this one waited for its turn; false where it has ended. Trouble is thrown: it passes. */
async function renewOnce(since: number): Promise<boolean> {
  const last = renewedAt();
  if (last >= since && last <= Date.now()) return true;
  const answer = await fetch('/v1/accounts/refresh', { method: 'POST' }).catch(unheard);
  if (isTrouble(answer)) throw await refused(answer);
  if (answer.ok) {
    try {
      localStorage.setItem(RENEWED, String(Date.now()));
    } catch {
      // Tabs take turns all the same; each renews for itself.
    }
  }
  return answer.ok;
}

/** Renews the session once, however many ask; tabs take turns where the browser has locks. */
function renew(): Promise<boolean> {
  if (renewing) return renewing;
  const since = Date.now();
  // Browsers have locks on secure pages alone.
  const locks = navigator.locks as LockManager | undefined;
  const turn: Promise<boolean> = locks ? inTurn(locks, () => renewOnce(since)) : renewOnce(since);
  renewing = turn.finally(() => (renewing = null));
  return renewing;
}

/** Does something once it is this tab's turn, or it was not for too long. */
async function inTurn(locks: LockManager, act: () => Promise<boolean>): Promise<boolean> {
  let doing: Promise<boolean> | null = null;
  await locks.request('sluice-renew', { signal: AbortSignal.timeout(PATIENCE) }, () => (doing = act())).catch(() => undefined);
  return doing ?? act();
}

export interface Asking {
  method?: string;
  /** A document, or a file as it is. */
  body?: unknown;
  /** Whoever sends it again with the same key has it done once. */
  key?: string;
  /** Further header fields. */
  fields?: Record<string, string>;
  /** Until when an answer is waited for. */
  signal?: AbortSignal;
}

/** Whether what was asked for is decided: it was said no, and the next try is another. What nobody answered, or is under way, may yet be done. */
export const isNo = (error: unknown): error is Refused => error instanceof Refused && error.status < 500 && ![401, 403, 408, 429].includes(error.status) && error.kind !== 'conflict';

/** Asks the edge, and renews the session where its token has run out. `Unheard` where no answer comes. */
export async function ask<T>(path: string, { method = 'GET', body, key, fields, signal }: Asking = {}): Promise<T> {
  const headers: Record<string, string> = { accept: 'application/json', ...fields };
  const file = body instanceof Blob;
  if (body !== undefined) headers['content-type'] = file ? body.type || 'application/octet-stream' : 'application/json';
  if (key) headers['idempotency-key'] = key;
  const reads = method === 'GET';
  const written = reads && atLeast();
  if (written) headers['sluice-at-least'] = written;
  // The edge has what is new; what the browser kept a moment ago may not be.
  const sent = body === undefined ? null : file ? body : JSON.stringify(body);
  const send = () => fetch(path, { method, headers, cache: reads ? 'no-cache' : 'default', body: sent, ...(signal ? { signal } : {}) }).catch(unheard);
  let answer = await send();
  const signsIn = path === '/v1/accounts/session' && method === 'POST';
  if (answer.status === 401 && !signsIn && (await renew())) answer = await send();
  if (!answer.ok) throw await refused(answer);
  const told = (answer.status === 204 ? null : await answer.json().catch(unheard)) as T;
  const versions = answer.headers.get('sluice-version');
  if (reads) noteShown(versions);
  else note(versions);
  return told;
}

let asking: Promise<unknown> | null = null;

/** Renews the session if its token has run out: for what the browser asks for by itself, such as pictures. Once, however many ask. */
export function fresh(): Promise<unknown> {
  asking ??= ask('/v1/accounts/me').catch(() => undefined).finally(() => (asking = null));
  return asking;
}

let known: Promise<Me | null> | null = null;

/** The cookie without a secret that is there while a session may be. */
const KNOWN = 'sluice_known=1';

/** The account, or null where nobody is signed in. */
export function me(): Promise<Me | null> {
  if (!document.cookie.split('; ').includes(KNOWN)) return Promise.resolve(null);
  if (known) return known;
  const asked: Promise<Me | null> = ask<Me>('/v1/accounts/me').catch((error: unknown) => {
    if (error instanceof Refused && error.status === 401) return null;
    // Trouble passes: who asks next is told what is so then.
    if (known === asked) known = null;
    throw error;
  });
  known = asked;
  return asked;
}

/** Changes whenever somebody signs in or out: other tabs hear of it. */
const WHO = 'sluice_who';

/** Somebody else is signed in now, or nobody. */
function another(): void {
  known = null;
  try {
    localStorage.setItem(WHO, unique());
  } catch {
    // Other tabs find out when they ask for something.
  }
}

/** Tells when somebody signed in or out in another tab: what is shown here is another account's. */
export function elsewhere(tell: () => void): void {
  addEventListener('storage', ({ key }) => key === WHO && tell());
}

export type SignIn = { handle: string; password: string };

export async function enter(as: SignIn, anew: boolean): Promise<void> {
  await ask(anew ? '/v1/accounts' : '/v1/accounts/session', { method: 'POST', body: as });
  another();
}

export async function leave(): Promise<void> {
  await ask('/v1/accounts/session', { method: 'DELETE' }).catch(over);
  another();
}

/** Ends the session here and all others of the account. */
export async function leaveEverywhere(): Promise<void> {
  await ask('/v1/accounts/sessions', { method: 'DELETE' });
  another();
}

/** Puts a new password in the place of the current one; all other sessions end. */
export async function changePassword(current: string, next: string): Promise<void> {
  await ask('/v1/accounts/password', { method: 'PUT', body: { current, new: next } });
}

/** Who is signed out already is signed out. */
function over(error: unknown): void {
  if (!(error instanceof Refused && error.status === 401)) throw error;
}
