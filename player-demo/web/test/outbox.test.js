import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';
import { overflows } from '../src/chat/composer.ts';
import { fitting } from '../src/chat/files.ts';
import { outbox } from '../src/chat/outbox.ts';
import { wouldLose } from '../src/unsaved.ts';

// What is sent is answered by `answers`: a status, an answer that comes later, a refusal's kind, or nothing (offline).
let answers = [];
let sent = [];
let uploads = [];
let seq = 0;
const refused = (kind) => new Response(JSON.stringify({ type: `/problems/${kind}`, title: 'No' }), { status: kind === 'too-many-files' ? 429 : 422 });
Object.assign(globalThis, {
  fetch: async (path, { body, headers }) => {
    const file = path.includes('/files?');
    const { client_id, text, attachments } = file ? {} : JSON.parse(body);
    if (file) uploads.push([new URL(path, 'http://edge').searchParams.get('name'), headers['idempotency-key'], headers['content-type'], await body.text()]);
    else sent.push([text, client_id, attachments?.map(({ path }) => path)]);
    const answer = await (answers.length > 0 ? answers.shift() : 201);
    if (answer === undefined) throw new TypeError('Failed to fetch');
    if (typeof answer === 'string') return refused(answer);
    if (file && answer < 300) return new Response(JSON.stringify({ name: 'x', type: 'text/plain', bytes: body.size, path: `/kept/${uploads.length}` }), { status: answer });
    return new Response(JSON.stringify(answer < 300 ? { client_id, text, seq: (seq += 1) } : { title: 'No' }), { status: answer });
  },
});
beforeEach(() => {
  [answers, sent, uploads, seq] = [[], [], [], 0];
});
mock.timers.enable({ apis: ['setTimeout'] });
const turn = () => new Promise((done) => setImmediate(done));
const later = async () => {
  await turn();
  mock.timers.tick(12_000);
  await turn();
};
const shown = (box) => box.list().map(({ text, tick }) => `${text} ${tick}`);

test('a page is not left without a question while something is on its way, or failed', async () => {
  const [box, asks] = [outbox('asks'), [wouldLose()]];
  answers = [201, 400];
  box.add('goes');
  asks.push(wouldLose());
  await turn();
  asks.push(wouldLose());
  box.add('fails');
  await turn();
  asks.push(wouldLose());
  box.takeBack(box.list().at(-1));
  assert.deepEqual([...asks, wouldLose()], [false, true, false, true, false]);
});

test('messages of a cut go one after another, in order, each by one name', async () => {
  const box = outbox('a');
  answers = [undefined, 503];
  for (const text of ['1', '2', '3']) box.add(text);
  for (let n = 0; n < 3; n += 1) await later();
  assert.deepEqual(sent.map(([text]) => text), ['1', '1', '1', '2', '3']);
  assert.equal(new Set(sent.map(([, client]) => client)).size, 3);
  // They are acknowledged, and stay until the story has them.
  assert.deepEqual(box.list().map((one) => one.seq), [1, 2, 3]);
  box.settle((one) => one.seq <= 2);
  assert.deepEqual(shown(outbox('a')), ['3 waits']);
});

test('one that was refused stays with why, the next goes; it is tried again or taken back', async () => {
  const [box, told] = [outbox('b'), []];
  const view = new AbortController();
  box.watch((one) => told.push(one?.text), view.signal);
  answers = [403, 201, 400];
  box.add('no');
  box.add('yes');
  view.abort();
  await turn();
  await turn();
  assert.deepEqual([told, shown(outbox('b')), box.list()[0].why], [[undefined, undefined], ['no failed', 'yes waits'], 'No']);
  box.again(box.list()[0]);
  assert.deepEqual(shown(box), ['no waits', 'yes waits']);
  await turn();
  assert.equal(sent[0][1], sent[2][1]);
  box.takeBack(box.list()[0]);
  assert.deepEqual(shown(box), ['yes waits']);
});

test('where nobody answers all that wait fail in the end; there are so many and no more', async () => {
  const box = outbox('c');
  answers = Array.from({ length: 40 });
  assert.deepEqual(Array.from({ length: 51 }, (_, n) => box.add(`${n}`)).indexOf(false), 50);
  for (let n = 0; n < 40; n += 1) await later();
  assert.equal(sent.length, 40);
  assert.ok(box.list().every(({ tick, why }) => tick === 'failed' && why === 'There is no connection just now.'));
});

test('what the story has meanwhile is not sent again', async () => {
  const box = outbox('d');
  answers = [undefined];
  box.add('heard');
  await turn();
  box.settle(({ client }) => client === sent[0][1]);
  await later();
  assert.deepEqual([sent.length, shown(box)], [1, []]);
});

const file = (name, words, type = '') => Object.assign(new Blob([words], { type }), { name });
const turns = async (count) => {
  for (let n = 0; n < count; n += 1) await turn();
};

test('files go first, each once, and are tried again as the same', async () => {
  const [box, far] = [outbox('e'), []];
  box.watch(() => far.push(box.list()[0].files.filter(({ kept }) => kept).length), new AbortController().signal);
  answers = [201, undefined, 503, 201, 503, 201];
  box.add('two', [file('a b.txt', 'one', 'text/plain'), file('ü', 'other')]);
  for (let n = 0; n < 4; n += 1) await later();
  await turns(8);
  assert.deepEqual(uploads.map(([name, , type, words]) => [name, type, words]), [['a b.txt', 'text/plain', 'one'], ...Array.from({ length: 3 }, () => ['ü', 'application/octet-stream', 'other'])]);
  assert.equal(new Set(uploads.map(([, key]) => key)).size, 2);
  assert.deepEqual(sent.map(([, , paths]) => paths), [['/kept/1', '/kept/4'], ['/kept/1', '/kept/4']]);
  assert.deepEqual(far, [0, 1, 2, 2], 'and one is told how far it is');
});

test('a file that was refused fails its message, in words; tried again, what is kept is not sent again', async () => {
  const box = outbox('f');
  answers = [201, 'too-many-files'];
  box.add('', [file('a', '1'), file('b', '2')]);
  box.add('next');
  await turns(12);
  assert.deepEqual([shown(box), box.list()[0].why, sent.map(([text]) => text)], [[' failed', 'next waits'], 'No', ['next']]);
  box.again(box.list()[0]);
  await turns(12);
  assert.deepEqual([uploads.map(([name]) => name), sent.at(-1)], [['a', 'b', 'b'], ['', box.list()[0].client, ['/kept/1', '/kept/3']]]);
});

test('a file fails alone: where there is no room, it cannot be read, comes too slowly, or is tried too often', async () => {
  const box = outbox('h');
  const gone = Object.assign(file('gone.txt', 'x'), { slice: () => ({ arrayBuffer: () => Promise.reject(new Error('NotReadableError')) }) });
  const fails = async (some, all) => {
    answers = all;
    [uploads, sent] = [[], []];
    box.add('fails', [some]);
    box.add('next');
    for (let n = 0; n < 500 && sent.length === 0; n += 1) await later();
    await turns(12);
    const [one] = box.list();
    const told = [one.tick, one.why, uploads.length, sent.map(([text]) => text)];
    box.settle(() => true);
    return told;
  };
  const some = file('a', '1');
  assert.deepEqual(await fails(some, [507]), ['failed', 'No', 1, ['next']]);
  assert.deepEqual(await fails(gone, [undefined]), ['failed', '“gone.txt” cannot be read any more.', 1, ['next']]);
  assert.deepEqual(await fails(some, [408, 503, 408]), ['failed', 'No', 3, ['next']]);
  assert.deepEqual(await fails(some, Array.from({ length: 40 }, () => 503)), ['failed', 'No', 40, ['next']]);
});

test('what was kept and lapsed is sent anew, once', async () => {
  const box = outbox('g');
  answers = [201, 'no-such-file', 201, 201];
  box.add('late', [file('a', '1')]);
  await turns(16);
  assert.deepEqual(sent.map(([, , paths]) => paths), [['/kept/1'], ['/kept/2']]);
  assert.equal(new Set(uploads.map(([, key]) => key)).size, 2, 'under another key');
  answers = [201, 'no-such-file', 201, 'no-such-file'];
  box.add('never', [file('b', '1')]);
  await turns(16);
  assert.deepEqual([shown(box).at(-1), uploads.length], ['never failed', 4]);
});

test('a message has ten files, and none that is too large', () => {
  const some = (count, size = 1) => Array.from({ length: count }, (_, n) => ({ name: `${n}`, size }));
  assert.deepEqual([fitting(0, some(10)).taken.length, fitting(0, some(10)).why], [10, '']);
  assert.deepEqual([fitting(8, some(3)).taken.length, fitting(8, some(3)).why], [2, 'A message has 10 files at most.']);
  assert.equal(fitting(10, some(1)).taken.length, 0);
  const large = fitting(0, [...some(1, 20 * 1024 * 1024), ...some(1, 20 * 1024 * 1024 + 1)]);
  assert.deepEqual([large.taken.length, large.why], [1, '“0” is larger than 20 MiB.']);
  assert.match(fitting(0, [], true).why, /^A folder cannot be sent/);
});

test('what is pasted has room, or is said not to', () => {
  const fits = (text, from, to, pasted) => !overflows(text, from, to, pasted);
  assert.deepEqual([fits('', 0, 0, 'x'.repeat(4000)), fits('', 0, 0, 'x'.repeat(4001)), fits('abc', 1, 3, 'x'.repeat(3999)), fits('abc', 3, 3, 'x'.repeat(3998))], [true, false, true, false]);
  assert.ok(fits('', 0, 0, '\r\n'.repeat(4000)));
});
