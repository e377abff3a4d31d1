import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isNo, Refused } from '../src/session.ts';
import { FULL, Left, roomIn, SOLD_OUT, through } from '../src/shop/line.ts';
import { Tickets } from '../src/shop/tickets.ts';

const needed = (room) => new Refused(403, 'admission-needed', `take a ticket at /v1/rooms/${room}/tickets, and bring what it is given for`);
const refused = (status, kind) => new Refused(status, kind, kind);
const waits = (place) => ({ state: 'waiting', place, retry_ms: 500 });
const admitted = (admission) => ({ state: 'admitted', admission });

/** What a browser keeps for a tab. */
function shelf() {
  const kept = new Map();
  return { getItem: (name) => kept.get(name) ?? null, setItem: (name, text) => kept.set(name, text), removeItem: (name) => kept.delete(name) };
}

/** Rooms whose doors answer in turn what they are told to: an error is thrown. */
function street(answers, { rooms = ['shop.a'], kept = shelf() } = {}) {
  const [done, leaving] = [[], new AbortController()];
  const next = (door) => {
    const answer = answers[door]?.shift();
    if (answer instanceof Error) throw answer;
    if (answer === undefined) throw new Error(`nobody expected ${door}`);
    return answer;
  };
  const [told, asked] = [[], []];
  const line = {
    tickets: new Tickets(kept),
    doors: {
      take: async (room) => (done.push(`take ${room}`), { ticket: next(`take ${room}`) }),
      look: async (room, ticket, wait) => (done.push(`look ${ticket}`), asked.push(wait), next(`look ${ticket}`)),
      pause: async (ms) => void done.push(ms > 1000 ? `pause ${Math.round(ms / 1000)}` : 'pause'),
    },
    rooms: () => rooms,
    tell: (words) => told.push(words.at === 'waits' ? words.place : words.at),
    until: leaving.signal,
  };
  const sent = [];
  const send = async (admissions) => (sent.push(admissions.join(' ')), next('send'));
  return { line, done, told, asked, sent, kept, leaving, order: () => through(send, line) };
}

test('the room is named by the refusal', () => {
  assert.equal(roomIn(needed('shop.0abc').message), 'shop.0abc');
  assert.equal(roomIn('the admission is not good'), undefined);
});

test('an order that no room is in front of is sent as it is', async () => {
  const free = street({ send: ['order'] });
  assert.equal(await free.order(), 'order');
  assert.deepEqual([free.sent, free.done, free.told], [[''], [], []]);
  await assert.rejects(street({ send: [refused(409, 'sold-out')] }).order(), (error) => isNo(error) && error.kind === 'sold-out');
});

test('who is in line is told the place in it, and orders once let in', async () => {
  const ann = street({ send: [needed('shop.a'), 'order'], 'take shop.a': ['t'], 'look t': [waits(2), waits(0), admitted('x')] });
  assert.equal(await ann.order(), 'order');
  assert.deepEqual(ann.told, ['joins', 2, 0]);
  assert.deepEqual(ann.sent, ['', 'x']);
  assert.deepEqual(ann.asked, [0, 10, 10], 'at once at first');
  assert.equal(ann.kept.getItem('sluice-line'), null, 'nothing is left of it');
});

test('a page that is loaded anew has its ticket, and the key of its order', async () => {
  const kept = shelf();
  const before = street({ send: [needed('shop.a')], 'take shop.a': ['t'], 'look t': [waits(7)] }, { kept });
  before.line.doors.pause = async () => before.leaving.abort();
  before.line.tickets.wish({ at: '/shop/basket', of: '[a]', key: 'k' });
  await assert.rejects(before.order(), Left);
  const after = street({ send: [needed('shop.a'), 'order'], 'look t': [admitted('x')] }, { kept });
  assert.equal(after.line.tickets.wished('/shop/basket', '[a]'), 'k');
  assert.equal(after.line.tickets.wished('/shop/basket', '[b]'), undefined, 'the basket is another');
  assert.equal(await after.order(), 'order');
  assert.deepEqual(after.done, ['look t'], 'no other ticket is taken');
  assert.deepEqual(new Tickets({ ...shelf(), getItem: () => '{"places"' }).all(), [], 'what nobody can read is nothing');
});

test('a ticket that is not good any more is given for another, and an admission that ran out waits again', async () => {
  const ann = street({
    send: [needed('shop.a'), refused(403, 'admission-expired'), refused(409, 'admission-used'), 'order'],
    'take shop.a': ['t', 'u', 'v', 'w'],
    'look t': [refused(410, 'ticket-used')],
    'look u': [refused(404, 'unknown-ticket')],
    'look v': [admitted('x'), waits(0), admitted('y')],
    'look w': [admitted('z')],
  });
  assert.equal(await ann.order(), 'order');
  assert.deepEqual(ann.sent, ['', 'x', 'y', 'z']);
});

test('tickets are not taken without end', async () => {
  const never = Array.from({ length: 99 }, () => refused(404, 'unknown-ticket'));
  const ann = street({ send: [needed('shop.a')], 'take shop.a': Array.from({ length: 99 }, () => 't'), 'look t': never });
  await assert.rejects(ann.order(), /in line/);
  assert.ok(ann.done.length < 30, `${ann.done.length}`);
});

test('an order through two rooms waits in both, and one that is closed meanwhile is no matter', async () => {
  const ann = street(
    {
      send: [needed('shop.b'), 'order'],
      'take shop.a': ['t'], 'take shop.b': ['u'], 'take shop.c': [refused(404, 'no-room')],
      'look t': [admitted('x'), admitted('x')], 'look u': [waits(3), admitted('y')],
    },
    { rooms: ['shop.a', 'shop.b', 'shop.c'] },
  );
  assert.equal(await ann.order(), 'order');
  assert.deepEqual(ann.sent[1].split(' ').sort(), ['x', 'y']);
  const closed = street({ send: [needed('shop.a'), 'order'], 'take shop.a': ['t'], 'look t': [waits(1), refused(404, 'no-room')] });
  assert.equal(await closed.order(), 'order');
  assert.deepEqual(closed.sent, ['', '']);
  const early = street({ send: [needed('shop.a'), 'order'], 'take shop.a': [refused(404, 'no-room'), 't'], 'look t': [admitted('x')] });
  assert.equal(await early.order(), 'order', 'an origin knew of the room before the edge did');
});

test('who comes when nothing is left or too many wait is told so; who is in line keeps the place', async () => {
  await assert.rejects(street({ send: [needed('shop.a')], 'take shop.a': [refused(409, 'sold-out')] }).order(), { message: SOLD_OUT });
  await assert.rejects(street({ send: [needed('shop.a')], 'take shop.a': [refused(503, 'room-full')] }).order(), { message: FULL });
  const ann = street({
    send: [needed('shop.a'), 'order'],
    'take shop.a': [refused(503, 'room-unknown'), 't'],
    'look t': [refused(409, 'sold-out'), new TypeError('cut'), waits(0), admitted('x')],
  });
  assert.equal(await ann.order(), 'order');
  assert.deepEqual(ann.told, ['joins', 'sold-out', 'unheard', 0]);
  assert.deepEqual(ann.done, ['take shop.a', 'pause 2', 'take shop.a', 'look t', 'pause 5', 'look t', 'pause 2', 'look t', 'pause', 'look t']);
});

test('what nobody has decided is sent again as the same', () => {
  const kinds = [[409, 'sold-out'], [422, 'invalid'], [403, 'admission-needed'], [409, 'conflict'], [503, 'busy'], [429, 'too-many-tries']];
  assert.deepEqual(kinds.map(([status, kind]) => isNo(refused(status, kind))), [true, true, false, false, false, false]);
  assert.equal(isNo(new TypeError('cut')), false);
});
