// A file in two uploads that are joined before they begin (tus: concatenation of unfinished uploads): the end, with the
// film's index, is sent first, and the film can be worked on while the rest comes.

export interface Plan {
  /** Where the file is cut. */
  at: number;
  head: string;
  tail: string;
  /** The upload that becomes the video. */
  whole: string;
}

const TUS = { 'tus-resumable': '1.0.0' };

const key = (file: File) => `sluice-joined-${file.name}-${file.size}-${file.lastModified}`;

/** True when the server joins uploads that are not complete. */
export async function joins(): Promise<boolean> {
  const answer = await fetch('/v1/uploads', { method: 'OPTIONS', headers: TUS }).catch(() => null);
  return (answer?.headers.get('tus-extension') ?? '').split(',').map((one) => one.trim()).includes('concatenation-unfinished');
}

/** The plan of a file that was begun before, if the server still has it; else a new one. */
export async function plan(file: File, at: number): Promise<Plan> {
  const before = remembered(file);
  if (before && before.at === at && (await Promise.all([before.head, before.tail, before.whole].map(known))).every(Boolean)) return before;
  const head = await make({ 'upload-length': String(at), 'upload-concat': 'partial' });
  const tail = await make({ 'upload-length': String(file.size - at), 'upload-concat': 'partial' });
  const name = btoa(String.fromCharCode(...new TextEncoder().encode(file.name)));
  const whole = await make({ 'upload-concat': `final;${head} ${tail}`, 'upload-metadata': `filename ${name}` });
  const made = { at, head, tail, whole };
  try {
    localStorage.setItem(key(file), JSON.stringify(made));
  } catch {
    // Without room it begins anew after a reload.
  }
  return made;
}

export const forget = (file: File): void => localStorage.removeItem(key(file));

/** Has the server forget an upload, and what is joined into it. */
export async function terminate(url: string): Promise<void> {
  await fetch(url, { method: 'DELETE', headers: TUS });
}

function remembered(file: File): Plan | null {
  try {
    return JSON.parse(localStorage.getItem(key(file)) ?? 'null') as Plan | null;
  } catch {
    return null;
  }
}

async function known(url: string): Promise<boolean> {
  return (await fetch(url, { method: 'HEAD', headers: TUS })).ok;
}

async function make(headers: Record<string, string>): Promise<string> {
  const answer = await fetch('/v1/uploads', { method: 'POST', headers: { ...TUS, ...headers } });
  const at = answer.headers.get('location');
  if (!answer.ok || !at) throw new Error(`the server answered ${answer.status}`);
  return at;
}
