import assert from 'node:assert/strict';
import { test } from 'node:test';
import { question } from '../src/chat/search.ts';
import { Story } from '../src/chat/story.ts';
import { far } from '../src/chat/ticks.ts';
import { average } from '../src/feed/blur.ts';
import { arranged } from '../src/feed/thread.ts';
import { counted, day } from '../src/format.ts';
import { once } from '../src/once.ts';
import { below } from '../src/route.ts';
import { Refused } from '../src/session.ts';
import { merged, put } from '../src/shop/basket.ts';
import { heard, isParcel, moved, newest, parcelWords, WAY } from '../src/shop/parcels.ts';
import { called, offered } from '../src/shop/language.ts';
import { moves, reached, stateWords } from '../src/shop/states.ts';
import { turns } from '../src/turns.ts';
import { noteShown, shownAt } from '../src/versions.ts';

test('what is below an app is its parts', () => {
  assert.deepEqual(['/shop', '/shop/', '/shop/orders/7', '/feed/users/a%20b', '/feed/%'].map(below), [[], [], ['orders', '7'], ['users', 'a b'], ['?']]);
});

test('a page listens from what it has read', () => {
  noteShown('stock:1=4 product:2=1');
  noteShown('stock:1=3');
  assert.deepEqual([shownAt('stock:1'), shownAt('product:2'), shownAt('stock:9')], [4, 1, undefined]);
});

test('baskets are put together, once however often, and nothing of nothing is left out', () => {
  const strange = [{ variant: 'a', quantity: 3 }, { variant: 'c', quantity: 1 }, { variant: 'd', quantity: 0 }];
  const lines = merged([{ variant: 'a', quantity: 2 }, { variant: 'b', quantity: 7 }], strange);
  assert.deepEqual(lines, [{ variant: 'a', quantity: 3 }, { variant: 'b', quantity: 7 }, { variant: 'c', quantity: 1 }]);
  assert.deepEqual(merged(lines, strange), lines);
  assert.equal(put([], 'a', 1800)[0].quantity, 1000);
  assert.deepEqual(put(lines, 'b', 0).map(({ variant }) => variant), ['a', 'c']);
});

test('an order that was refused is told from one that nobody paid', () => {
  assert.equal(stateWords('released').word, 'Not bought');
  assert.equal(stateWords('released', 'declined').word, 'Declined');
  assert.equal(stateWords('confirmed', 'declined').word, 'Confirmed');
  assert.equal(stateWords('released', 'expired').word, 'Not bought');
  assert.match(stateWords('canceled', 'buyer').more, /You canceled it/);
  assert.match(stateWords('canceled', 'gateway').more, /could not be made/);
  assert.deepEqual(['reserved', 'paying', 'paid', 'confirmed', 'released'].map(reached), [0, 1, 2, 3, -1]);
  assert.deepEqual(['reserved', 'refunding', 'confirmed', 'released', 'refunded', 'canceled'].map(moves), [true, true, false, false, false, false]);
});

test('a parcel goes on by what is heard of it, and what is replayed takes nothing back', () => {
  const parcel = (id, ...states) => ({ id, state: states.at(-1), carrier: 'Post', code: '1', lines: [], moves: states.map((state, n) => ({ state, at_ms: n })) });
  const [packed, gone] = [parcel('a', 'packed'), parcel('a', 'packed', 'handed-over')];
  const of = (parcels) => parcels.map(({ id, state }) => `${id} ${state}`);
  assert.deepEqual(of(heard([], packed)), ['a packed']);
  assert.deepEqual(of(heard([packed], gone)), ['a handed-over']);
  assert.deepEqual(of(heard([gone], packed)), ['a handed-over']);
  assert.deepEqual(of(heard([gone], parcel('b', 'packed'))), ['a handed-over', 'b packed']);
  assert.deepEqual(of(newest([packed], [gone, parcel('b', 'packed')])), ['a handed-over', 'b packed'], 'heard of while it was read');
  assert.deepEqual(of(newest([gone], [packed])), ['a handed-over']);
  assert.deepEqual(of(moved([gone, parcel('b', 'packed')], [packed])), ['a handed-over', 'b packed'], 'what is said aloud');
  assert.deepEqual(of(moved([gone, parcel('b', 'packed')], [gone])), ['b packed']);
  assert.deepEqual([packed, undefined, null, 'a', { id: 'a' }].map(isParcel), [true, false, false, false, false]);
  assert.deepEqual(WAY.map((state) => parcelWords(state).mood), ['waits', 'waits', 'waits', 'good']);
  assert.deepEqual([parcelWords('returned').mood, parcelWords('new').word], ['bad', 'new']);
});

const said = (seq, id, from, text) => ({ seq, type: 'message', id, client_id: `c${seq}`, from, name: from, text, at_ms: seq * 1000 });
const happened = [
  { seq: 1, type: 'made', by: 'ann', kind: 'direct', members: [{ account: 'ann', name: 'ann' }], at_ms: 1000 },
  said(2, 'm2', 'ann', 'hello, now'),
  said(3, 'm3', 'ben', ''),
  { seq: 4, type: 'reaction', id: 'm2', by: 'ben', name: 'ben', emoji: '👍', on: true },
  { seq: 5, type: 'reaction', id: 'm2', by: 'ben', name: 'ben', emoji: '🎉', on: true },
  { seq: 6, type: 'edit', id: 'm2', text: 'hello, now' },
  { seq: 7, type: 'reaction', id: 'm2', by: 'ben', name: 'ben', emoji: '👍', on: false },
  { seq: 8, type: 'delete', id: 'm3' },
  { seq: 9, type: 'receipt', account: 'ben', delivered: 8, read: 2 },
];

test('a conversation is the same in whatever order its changes come, and however often', () => {
  const orders = [happened, [...happened].reverse(), [...happened.slice(4), ...happened, ...happened.slice(0, 4)]];
  for (const order of orders) {
    const story = new Story();
    for (const one of order) story.take(structuredClone(one));
    assert.deepEqual(story.entries().map(({ seq, note }) => [seq, note !== undefined]), [[1, true], [2, false], [3, false]]);
    assert.deepEqual(story.reactionsOf('m2'), [['🎉', ['ben']]]);
    assert.equal(story.find('m2').message.text, 'hello, now');
    assert.ok(story.find('m2').message.edited_ms);
    assert.ok(story.find('m3').message.deleted_ms);
    assert.deepEqual([story.first, story.last, story.nameOf('ben')], [1, 9, 'ben']);
    assert.deepEqual(story.receipts.get('ben'), { delivered: 8, read: 2 });
  }
});

test('a conversation that goes on lets go of what is old, and takes it again', () => {
  const all = Array.from({ length: 1000 }, (_, n) => said(n + 1, `m${n + 1}`, 'ann', `${n + 1}`));
  const late = [
    { seq: 1001, type: 'reaction', id: 'm5', by: 'ben', emoji: '👍', on: true },
    { seq: 1002, type: 'edit', id: 'm6', text: 'other' },
    { seq: 1003, type: 'delete', id: 'm7' },
  ];
  const early = { seq: 50, type: 'reaction', id: 'm5', by: 'ann', emoji: '🎉', on: true };
  all[49] = early;
  const story = new Story();
  for (const one of [...all, ...late]) story.take(structuredClone(one));
  story.keepLast(2000);
  assert.equal(story.first, 1);
  story.keepLast(150);
  assert.deepEqual([story.first, story.last, story.entries().length, story.entries()[0].seq], [801, 1003, 200, 801], 'no page in part');
  assert.deepEqual([story.find('m5'), story.reactionsOf('m5')], [undefined, [['👍', ['ben']]]]);
  // Somebody scrolls up: page by page, the last of those first.
  for (let page = 7; page >= 0; page -= 1) for (const one of all.slice(page * 100, page * 100 + 100)) assert.ok(story.take(structuredClone(one)));
  assert.deepEqual([story.first, story.entries().length], [1, 999]);
  assert.deepEqual(story.reactionsOf('m5').map(([emoji]) => emoji).sort(), ['👍', '🎉'].sort());
  assert.equal(story.find('m6').message.text, 'other');
  assert.ok(story.find('m7').message.deleted_ms);
});

test('a message has come as far as the last of the others has it', () => {
  const group = { kind: 'group' };
  const [new_, has, read] = [{ delivered: 1, read: 1 }, { delivered: 9, read: 1 }, { delivered: 9, read: 9 }];
  assert.equal(far(group, 5, [new_, read]).tick, 'sent');
  assert.deepEqual(far(group, 5, [has, read]), { tick: 'delivered', words: 'read by 1 of 2' });
  assert.equal(far({ kind: 'direct' }, 5, [read]).tick, 'read');
  assert.equal(far({ kind: 'channel' }, 5, [read]).tick, 'sent');
});

test('a search names what it is narrowed to', () => {
  assert.equal(question(' big words ', '@ann', '7', '2026-03-01'), 'big words from:ann in:7 before:2026-03-01');
  assert.equal(question('big', ' ', '', ''), 'big');
  assert.equal(question('', ' @Ann', '', ''), 'from:Ann');
});

test('replies stand below what they answer, the oldest first', () => {
  const reply = (id, reply_to) => ({ id, reply_to });
  const all = arranged('r', [reply('a', 'r'), reply('b', 'r'), reply('c', 'a'), reply('d', 'c'), reply('e', 'deleted')]);
  assert.deepEqual(all.map(({ post, depth }) => [post.id, depth]), [['a', 0], ['c', 1], ['d', 2], ['b', 0], ['e', 0]]);
});

test('a picture has a colour before it is there', () => {
  assert.match(average('LEHV6nWB2yk8pyo0adR*.7kCMdnj'), /^#[0-9a-f]{6}$/);
  assert.deepEqual(['', 'x', 'LE€V6nWB'].map(average), [null, null, null]);
});

test('days and counts are named as people do', () => {
  const now = new Date(2026, 5, 15, 12).getTime();
  assert.equal(day(now - 3_600_000, now), 'Today');
  assert.equal(day(now - 86_400_000, now), 'Yesterday');
  assert.equal(day(new Date(2026, 2, 3).getTime(), now), 'March 3');
  assert.equal(day(new Date(2024, 2, 3).getTime(), now), 'March 3, 2024');
  assert.deepEqual([counted(1, 'reply', 'replies'), counted(1200, 'reply', 'replies')], ['1 reply', '1,200 replies']);
});

test('what is sent again is the same until it is decided, or is something else', async () => {
  const keys = [];
  const send = (error) => (_, key) => {
    keys.push(key);
    return error ? Promise.reject(error) : Promise.resolve();
  };
  const asOne = once();
  for (const [what, error] of [['a', new TypeError('cut')], ['a', new Refused(503, '', '')], ['a'], ['a', new Refused(422, '', '')], ['a', new TypeError('cut')], ['b']]) {
    await asOne({ text: what }, send(error)).catch(() => undefined);
  }
  const [first, second, third, fourth, fifth, sixth] = keys;
  assert.deepEqual([second, third], [first, first], 'until it was taken');
  assert.equal(new Set([first, fourth, fifth, sixth]).size, 4, 'anew after it was taken, refused, or changed');
});

test('of two questions the later one is answered, and nobody goes on meanwhile', async () => {
  const [more, shown, answers] = [{ disabled: false }, [], []];
  const inTurn = turns(more);
  const asked = () => new Promise((done, fail) => answers.push({ done, fail }));
  const all = [1, 2, 3].map(() => inTurn(asked, (told) => shown.push(told)));
  answers[1].done('second');
  answers[0].fail(new Error('of no interest any more'));
  await Promise.all(all.slice(0, 2));
  assert.deepEqual([shown, more.disabled], [[], true]);
  answers[2].done('third');
  await all[2];
  assert.deepEqual([shown, more.disabled], [['third'], false]);
  await assert.rejects(inTurn(() => Promise.reject(new Error('trouble')), () => undefined), /trouble/);
  assert.equal(more.disabled, false);
});

test('languages to choose from are tags, each once, the chosen one first', () => {
  const all = offered('de-ch', ['EN-us', 'de', 'x y', 'C.UTF-8']);
  assert.deepEqual(all.slice(0, 3), ['de-CH', 'en-US', 'de']);
  assert.equal(new Set(all).size, all.length);
  assert.equal(offered('', [])[0], 'de');
  assert.equal(called('no tag'), 'no tag');
});
