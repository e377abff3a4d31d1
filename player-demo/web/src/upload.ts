// Uploads: tus, resumed after a cut or a reload.
import * as tus from 'tus-js-client';
import { el, say } from './dom';
import { bytes, eta, rate } from './format';

const CHUNK = 8 * 1024 * 1024;

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

  const task = new tus.Upload(file, {
    endpoint: '/v1/uploads',
    chunkSize: CHUNK,
    retryDelays: [0, 500, 1000, 3000, 5000, 10000],
    metadata: { filename: file.name },
    removeFingerprintOnSuccess: true,
    onProgress: (sent, total) => {
      if (begun.sent < 0) begun = { at: performance.now(), sent };
      const speed = ((sent - begun.sent) * 1000) / Math.max(1, performance.now() - begun.at);
      bar.value = total > 0 ? sent / total : 0;
      const parts = [`${bytes(sent)} of ${bytes(total)}`, speed > 0 && rate(speed * 8), eta(sent, total, speed)];
      say(state, parts.filter(Boolean).join(' · '));
    },
    onError: (error) => {
      row.dataset.state = 'failed';
      const body = 'originalResponse' in error ? error.originalResponse?.getBody() : undefined;
      say(state, reason(body) ?? 'The upload stopped. Check the connection, then go on.');
      say(pause, 'Go on');
      paused = true;
    },
    onSuccess: () => {
      row.dataset.state = 'done';
      bar.value = 1;
      say(state, 'uploaded');
      pause.remove();
      cancel.remove();
      const id = task.url?.split('/').pop();
      if (id) done(id);
      window.setTimeout(() => row.remove(), 2500);
    },
  });

  pause.addEventListener('click', () => {
    paused = !paused;
    say(pause, paused ? 'Go on' : 'Pause');
    if (paused) void task.abort().then(() => say(state, 'paused'));
    else {
      begun = { at: performance.now(), sent: -1 };
      delete row.dataset.state;
      task.start();
    }
  });
  cancel.addEventListener('click', () => {
    void task.abort(true).catch(() => undefined).then(() => row.remove());
  });
  void task.findPreviousUploads().then((previous) => {
    const last = previous[0];
    if (last) task.resumeFromPreviousUpload(last);
    task.start();
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
