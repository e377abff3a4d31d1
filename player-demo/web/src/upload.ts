// Uploads: tus, resumed after a cut or a reload.
import * as tus from 'tus-js-client';
import { trailingIndex } from './boxes';
import { el, say } from './dom';
import { bytes, eta, rate } from './format';
import { forget, joins, plan, terminate } from './joined';

const CHUNK = 8 * 1024 * 1024;

/** What is told of a file on its way. */
interface Told {
  progress: (sent: number, total: number) => void;
  failed: (why: string | undefined) => void;
  /** It is all there: the video's id. */
  done: (id: string) => void;
}

/** A file on its way. */
interface Task {
  go: () => void;
  pause: () => Promise<void>;
  cancel: () => Promise<void>;
}

const RETRIES = [0, 500, 1000, 3000, 5000, 10000];

function why(error: Error | tus.DetailedError): string | undefined {
  return reason('originalResponse' in error ? error.originalResponse?.getBody() : undefined);
}

const name = (url: string | null): string => url?.split('/').pop() ?? '';

/** A file from its beginning to its end. */
async function inOrder(file: File, told: Told): Promise<Task> {
  const task = new tus.Upload(file, {
    endpoint: '/v1/uploads',
    chunkSize: CHUNK,
    retryDelays: RETRIES,
    metadata: { filename: file.name },
    removeFingerprintOnSuccess: true,
    onProgress: told.progress,
    onError: (error) => told.failed(why(error)),
    onSuccess: () => told.done(name(task.url)),
  });
  const last = (await task.findPreviousUploads())[0];
  if (last) task.resumeFromPreviousUpload(last);
  return { go: () => task.start(), pause: () => task.abort(), cancel: () => task.abort(true) };
}

/** A film whose index is at its end: the end first. */
async function endFirst(file: File, at: number, told: Told): Promise<Task> {
  const made = await plan(file, at);
  const sent = { tail: 0, head: 0 };
  const piece = (which: 'tail' | 'head', blob: Blob, then: () => void) =>
    new tus.Upload(blob, {
      uploadUrl: made[which],
      chunkSize: CHUNK,
      retryDelays: RETRIES,
      storeFingerprintForResuming: false,
      onProgress: (bytes) => {
        sent[which] = bytes;
        told.progress(sent.tail + sent.head, file.size);
      },
      onError: (error) => told.failed(why(error)),
      onSuccess: then,
    });
  const head = piece('head', file.slice(0, at), () => {
    forget(file);
    told.done(name(made.whole));
  });
  let now = piece('tail', file.slice(at), () => {
    now = head;
    now.start();
  });
  const cancel = async () => {
    await now.abort();
    forget(file);
    await terminate(made.whole);
  };
  return { go: () => now.start(), pause: () => now.abort(), cancel };
}

async function task(file: File, told: Told): Promise<Task> {
  const at = await trailingIndex(file).catch(() => null);
  if (at && (await joins())) {
    try {
      return await endFirst(file, at, told);
    } catch {
      // Then it goes as any other.
    }
  }
  return inOrder(file, told);
}

/** A row for one file. `done` is called with the video's id. */
export function upload(file: File, done: (id: string) => void): HTMLElement {
  const bar = el('progress', { max: '1', value: '0', 'data-testid': 'upload-progress', 'aria-label': `Uploading ${file.name}` });
  const state = el('span', { class: 'dim', 'aria-live': 'polite' }, 'waiting');
  const pause = el('button', { class: 'quiet', type: 'button' }, 'Pause');
  const cancel = el('button', { class: 'quiet', type: 'button' }, 'Cancel');
  const row = el(
    'li',
    { class: 'upload', 'data-testid': 'upload-item' },
    el('div', { class: 'upload-head' }, el('strong', {}, file.name), state),
    bar,
    el('div', { class: 'actions' }, pause, cancel),
  );
  let begun = { at: performance.now(), sent: -1 };
  let paused = false;
  let gone = false;

  const begin = task(file, {
    progress: (sent, total) => {
      if (begun.sent < 0) begun = { at: performance.now(), sent };
      const speed = ((sent - begun.sent) * 1000) / Math.max(1, performance.now() - begun.at);
      bar.value = total > 0 ? sent / total : 0;
      const parts = [`${bytes(sent)} of ${bytes(total)}`, speed > 0 && rate(speed * 8), eta(sent, total, speed)];
      say(state, parts.filter(Boolean).join(' · '));
    },
    failed: (why) => {
      row.dataset.state = 'failed';
      say(state, why ?? 'The upload stopped. Check the connection, then go on.');
      say(pause, 'Go on');
      paused = true;
    },
    done: (id) => {
      row.dataset.state = 'done';
      bar.value = 1;
      say(state, 'uploaded');
      pause.remove();
      cancel.remove();
      if (id) done(id);
      window.setTimeout(() => row.remove(), 2500);
    },
  });

  pause.addEventListener('click', () => {
    paused = !paused;
    say(pause, paused ? 'Go on' : 'Pause');
    if (paused) void begin.then((one) => one.pause()).then(() => say(state, 'paused'));
    else {
      begun = { at: performance.now(), sent: -1 };
      delete row.dataset.state;
      void begin.then((one) => one.go());
    }
  });
  cancel.addEventListener('click', () => {
    gone = true;
    void begin.then((one) => one.cancel()).catch(() => undefined).then(() => row.remove());
  });
  void begin.then((one) => {
    if (!paused && !gone) one.go();
  });
  return row;
}

function reason(body: string | undefined): string | undefined {
  try {
    return (JSON.parse(body ?? '') as { detail?: string }).detail;
  } catch {
    return undefined;
  }
}
