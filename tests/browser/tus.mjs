// Uploads a file with stock tus-js-client, cuts the connection in the middle, and resumes with a new upload object.
// usage: node tus.mjs EDGE FILE; the last line of output is {"id": ..., "cuts": ...}
import { createReadStream, statSync } from 'node:fs';
import { basename } from 'node:path';
import * as tus from 'tus-js-client';

const [edge, file] = process.argv.slice(2);
const size = statSync(file).size;
const chunk = Math.max(64 * 1024, Math.ceil(size / 6));
let cuts = 0;

function upload(uploadUrl, cutAfter) {
  return new Promise((resolve, reject) => {
    const task = new tus.Upload(createReadStream(file), {
      endpoint: `${edge}/v1/uploads`,
      uploadUrl,
      uploadSize: size,
      chunkSize: chunk,
      retryDelays: [0, 200, 500],
      metadata: { filename: basename(file) },
      onError: reject,
      onSuccess: () => resolve(task.url),
      onProgress: (sent) => {
        if (cutAfter !== null && sent > cutAfter && task.url) {
          cutAfter = null;
          cuts += 1;
          task.abort().then(() => resolve(task.url), reject);
        }
      },
    });
    task.start();
  });
}

const url = await upload(null, size / 2);
const end = await upload(url, null);
if (end !== url) throw new Error(`resumed at ${end}, not at ${url}`);
console.log(JSON.stringify({ id: url.split('/').pop(), cuts }));
