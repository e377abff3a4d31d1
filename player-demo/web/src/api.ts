// The origin's interface, as seen through the edge.
import { isGone } from './gone';
import { Refused } from './session';

export interface Rung {
  name: string;
  kind: 'video' | 'audio';
  width: number;
  height: number;
  bandwidth: number;
  average_bandwidth: number;
  segments: number;
  done: boolean;
}

export type Visibility = 'public' | 'unlisted' | 'private';

export interface Video {
  id: string;
  name: string;
  title: string;
  state: 'uploading' | 'queued' | 'processing' | 'ready' | 'failed';
  progress: number;
  playable: boolean;
  duration_ms: number | null;
  width: number | null;
  height: number | null;
  bytes: number | null;
  error: string | null;
  created_ms: number;
  description: string;
  tags: string[];
  visibility: Visibility;
  protection: 'none' | 'aes-128' | 'cbcs';
  deleted_ms: number | null;
  version: number;
  rungs: Rung[];
  urls: { master: string; poster: string | null };
}

export interface Page {
  videos: Video[];
  next: string | null;
}

/** A failure in words: the problem's own (RFC 9457), if there is one. */
async function failure(answer: Response): Promise<Refused> {
  const { type = '', title, detail } = (await answer.json().catch(() => ({}))) as { type?: string; title?: string; detail?: string };
  const words = [title, detail].filter(Boolean).join(': ') || `the server answered ${answer.status}`;
  return new Refused(answer.status, type.split(/[:/]/).pop() ?? '', words);
}

/** Whose videos are listed; deleted ones are of nobody any more. */
export type Shown = 'all' | Visibility | 'deleted';

export interface Asked {
  q: string;
  tags: string[];
  shown: Shown;
}

/** What a player needs. */
export interface Playback {
  url: string;
  param: string;
  token: string | null;
  expires_ms: number | null;
}

async function json<T>(path: string, init: RequestInit = {}): Promise<T> {
  const answer = await fetch(path, { ...init, headers: { accept: 'application/json', ...init.headers } });
  if (!answer.ok) throw await failure(answer);
  return (await answer.json()) as T;
}

export function list({ q, tags, shown }: Asked, after: string | null, signal: AbortSignal): Promise<Page> {
  const query = new URLSearchParams({ limit: '24', visibility: shown === 'deleted' ? 'all' : shown });
  // Deleted videos are listed, not searched.
  if (shown === 'deleted') query.set('state', 'deleted');
  else if (q) query.set('q', q);
  if (tags.length && shown !== 'deleted') query.set('tag', tags.join(','));
  if (after) query.set('after', after);
  return json(`/v1/videos?${query.toString()}`, { signal });
}

export const get = (id: string): Promise<Video> => json(`/v1/videos/${id}`);

export async function remove(id: string): Promise<void> {
  const answer = await fetch(`/v1/videos/${id}`, { method: 'DELETE' });
  if (!answer.ok && answer.status !== 404) throw await failure(answer);
}

export const restore = (id: string): Promise<Video> => json(`/v1/videos/${id}/restore`, { method: 'POST' });

export const playback = (id: string): Promise<Playback> => json(`/v1/videos/${id}/playback`, { method: 'POST' });

/** A text track of a video. */
export interface Text {
  kind: 'subtitles' | 'captions' | 'forced' | 'chapters';
  language: string;
  label: string;
  cues: number;
  bytes: number;
  embedded: boolean;
  url: string;
}

/** What lies beside a video: its text, and where its storyboard is. */
export const beside = (id: string): Promise<{ text: Text[]; storyboard: string | null }> => json(`/v1/videos/${id}/text`);

export const texts = async (id: string): Promise<Text[]> => (await beside(id)).text;

/** Sends SubRip or WebVTT; it replaces what there is of its kind and language. */
export function addText(id: string, kind: string, language: string, label: string | null, file: Blob): Promise<Text> {
  const query = label ? `?${new URLSearchParams({ label }).toString()}` : '';
  return json(`/v1/videos/${id}/text/${kind}/${encodeURIComponent(language)}${query}`, { method: 'PUT', body: file });
}

export async function removeText(id: string, { kind, language }: Text): Promise<void> {
  const answer = await fetch(`/v1/videos/${id}/text/${kind}/${language}`, { method: 'DELETE' });
  if (!answer.ok && answer.status !== 404) throw await failure(answer);
}

/** Changes a video as it was seen; nobody else's change is lost. */
type Said = Pick<Video, 'title' | 'description' | 'tags' | 'visibility'>;

const said = ({ title, description, tags, visibility }: Video) => JSON.stringify([title, description, tags, visibility]);

/** Changes what people say of a video, unless somebody else did since it was seen. What the machine adds to it is no reason. */
export async function change(seen: Video, to: Partial<Said>): Promise<Video> {
  const now = await get(seen.id);
  const { version } = said(now) === said(seen) ? now : seen;
  return json(`/v1/videos/${seen.id}`, {
    method: 'PATCH',
    headers: { 'content-type': 'application/json', ...(settled(now) ? { 'if-match': `"${version}"` } : {}) },
    body: JSON.stringify(to),
  });
}

export const settled = (video: Video) => video.state === 'ready' || video.state === 'failed';

/** Streams at a time: over HTTP/1.1 a browser has six connections to a site, and what it asks for needs some. */
const STREAMS = 2;
let streams = 0;

/** The events of a video, until its last word; `broken` is told where they do not come through. */
function stream(id: string, tell: (video: Video) => void, broken: () => void): () => void {
  streams += 1;
  let open = true;
  const source = new EventSource(`/v1/videos/${id}/events`);
  const end = () => {
    if (open) streams -= 1;
    open = false;
    source.close();
  };
  source.addEventListener('video', (event) => {
    const video = JSON.parse((event as MessageEvent<string>).data) as Video;
    // The server ends the stream after its last word; without this the browser would ask again.
    if (settled(video)) end();
    tell(video);
  });
  source.addEventListener('error', () => {
    if (!open || source.readyState !== EventSource.CLOSED) return;
    end();
    broken();
  });
  return end;
}

/** Follows a video until it is settled or gone: by its events, or by asking where those do not come through or others are streamed. */
export function follow(id: string, tell: (video: Video) => void, gone: () => void = () => undefined): () => void {
  let ended = false;
  let timer = 0;
  const poll = async () => {
    const video = await get(id).catch((error: unknown) => (isGone(error) ? 'gone' : null));
    if (ended) return;
    if (video === 'gone') return gone();
    if (video) tell(video);
    if (!ended && !(video && settled(video))) timer = window.setTimeout(poll, 1500);
  };
  const close = streams < STREAMS ? stream(id, tell, () => void poll()) : null;
  if (!close) void poll();
  return () => {
    ended = true;
    clearTimeout(timer);
    close?.();
  };
}
