// What a real browser gets over HTTP/1.1, HTTP/2 and HTTP/3.
// usage: node protocols.mjs HTTP_ORIGIN TLS_ORIGIN H3_ORIGIN SPKI < CASES; the output is JSON: answers by protocol.
import { launched } from './chromium.mjs';
import { readFileSync } from 'node:fs';

const [http, tls, h3, spki] = process.argv.slice(2);
const cases = JSON.parse(readFileSync(0, 'utf8'));

const known = ['--host-resolver-rules=MAP localhost 127.0.0.1', `--ignore-certificate-errors-spki-list=${spki}`];

async function answers(origin, quic = []) {
  const browser = await launched({ quic: quic.length > 0, args: [...known, ...quic] });
  try {
    const page = await browser.newPage();
    await page.goto(`${origin}/page`);
    return await page.evaluate(ask, cases);
  } finally {
    await browser.close();
  }
}

// Runs in the page.
async function ask(cases) {
  const got = [];
  for (const { method, path, fields, body } of cases) {
    const bytes = body && Uint8Array.from(atob(body), (c) => c.charCodeAt(0));
    const answer = await fetch(path, { method, headers: Object.fromEntries(fields), body: bytes, cache: 'no-store' });
    const content = new Uint8Array(await answer.arrayBuffer());
    const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', content));
    const entry = performance.getEntriesByType('resource').filter((e) => e.name === answer.url).at(-1);
    got.push({
      status: answer.status,
      length: content.length,
      sha256: [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join(''),
      protocol: entry?.nextHopProtocol,
    });
  }
  return got;
}

const result = {
  'http/1.1': await answers(http),
  h2: await answers(tls),
  h3: await answers(h3, ['--enable-quic', `--origin-to-force-quic-on=${new URL(h3).host}`]),
};
console.log(JSON.stringify(result));
