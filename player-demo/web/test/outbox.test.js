import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';
import { outbox } from '../src/chat/outbox.ts';

// What is sent is answered by `answers`: a status, an answer that comes later, or nothing (offline).
let answers = [];
let sent = [];
let seq = 0;
Object.assign(globalThis, {
  fetch: async (path, { body }) => {
    const { client_id, text } = JSON.parse(body);
    sent.push([text, client_id]);
    const answer = await (answers.length > 0 ? answers.shift() : 201);
    if (answer === undefined) throw new TypeError('Failed to fetch');
    return new Response(JSON.stringify(answer < 300 ? { client_id, text, seq: (seq += 1) } : { title: 'No' }), { status: answer });
  },
});
beforeEach(() => {
  [answers, sent, seq] = [[], [], 0];
});
mock.timers.enable({ apis: ['setTimeout'] });
const turn = () => new Promise((done) => setImmediate(done));
const later = async () => {
  await turn();
  mock.timers.tick(12_000);
  await turn();
};
const shown = (box) => box.list().map(({ text, tick }) => `${text} ${tick}`);

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
  assert.ok(box.list().every(({ tick, why }) => tick === 'failed' && why === 'Failed to fetch'));
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
