// Uploads a file with stock tus-js-client over parallel uploads that are joined at the end.
// usage: node tus_parallel.mjs EDGE FILE PIECES; the last line of output is {"id": ..., "concat": ...}
import { createReadStream } from 'node:fs';
import { basename } from 'node:path';
import * as tus from 'tus-js-client';

const [edge, file, pieces] = process.argv.slice(2);
const url = await new Promise((resolve, reject) => {
  const task = new tus.Upload(createReadStream(file), {
    endpoint: `${edge}/v1/uploads`,
    parallelUploads: Number(pieces),
    retryDelays: [0, 200, 500],
    metadata: { filename: basename(file), title: 'In parallel' },
    onError: reject,
    onSuccess: () => resolve(task.url),
  });
  task.start();
});
const head = await fetch(url, { method: 'HEAD', headers: { 'Tus-Resumable': '1.0.0' } });
console.log(JSON.stringify({ id: url.split('/').pop(), concat: head.headers.get('upload-concat') }));
