import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';
import { follow } from '../src/api.ts';
import { members } from '../src/chat/api.ts';
import { doubted, Hub } from '../src/chat/hub.ts';
import { retried } from '../src/chat/retried.ts';
import { filled, fragments } from '../src/feed/api.ts';
import { isGone } from '../src/gone.ts';
import { live, passes } from '../src/live.ts';
import { local } from '../src/local.ts';
import { backOff, Patience } from '../src/pauses.ts';
import { ask, me, Refused, Unheard } from '../src/session.ts';
import { Basket } from '../src/shop/basket.ts';

test('a path that leads elsewhere is neither shown nor linked', () => {
  const of = (path) => local(path, 'https://edge.example');
  assert.equal(of('/v1/feed/photos/1.jpg?w=320#x'), '/v1/feed/photos/1.jpg?w=320#x');
  const away = ['//evil.example/x', '/\\evil.example/x', '/\t/evil.example/x', '/\n/evil.example/x', '/\r\\evil.example/x', 'https://evil.example', 'javascript:alert(1)', 'data:,x', 'blob:https://edge.example/1', 'x.png', ''];
  for (const path of away) assert.equal(of(path), null, JSON.stringify(path));
});

test('pauses double up to the longest', () => {
  assert.deepEqual([0, 1, 2, 3, 99].map((failed) => backOff(failed, [300, 2000])), [300, 600, 1200, 2000, 2000]);
});

test('a player that fails is helped some times, and anew after it went well or was asked to', () => {
  const patience = new Patience();
  const all = Array.from({ length: 9 }, (_, n) => patience.next('network', n * 1000));
  assert.deepEqual(all, [1000, 2000, 4000, 8000, 8000, 8000, 8000, 8000, null]);
  assert.deepEqual([1, 2, 3, 4].map((n) => patience.next('media', 9000 + n)), [0, 0, 0, null]);
  patience.anew();
  assert.equal(patience.next('media', 9100), 0);
  assert.equal(patience.next('network', 80_000), 1000);
});

test('a refused channel is asked for again where that may help', () => {
  assert.equal(passes({ status: 400, type: '/problems/too-many-channels' }, false), true);
  assert.equal(passes({ status: 503, type: '/problems/unavailable' }, false), true);
  assert.equal(passes({ status: 401, type: '/problems/token' }, true), true);
  assert.equal(passes({ status: 404, type: '/problems/not-found' }, false), false);
});

// A page's surroundings: what is asked for is answered by `answers`, and what goes over sockets is kept.
let answers = () => [404, {}];
let asked = [];
let sockets = [];
class Socket extends EventTarget {
  static OPEN = 1;
  readyState = 1;
  sent = [];
  constructor() {
    super();
    sockets.push(this);
  }
  send(text) {
    this.sent.push(JSON.parse(text));
  }
  close() {
    this.readyState = 2;
  }
  hears(said) {
    this.dispatchEvent(Object.assign(new Event('message'), { data: JSON.stringify(said) }));
  }
}
Object.assign(globalThis, {
  document: { visibilityState: 'visible', cookie: 'sluice_known=1' },
  location: { protocol: 'http:', host: 'edge', origin: 'http://edge' },
  window: globalThis,
  WebSocket: Socket,
  fetch: async (path, { method = 'GET', body } = {}) => {
    asked.push(`${method} ${path}`);
    const [status, told] = answers(path, method, body);
    return new Response(JSON.stringify(told), { status });
  },
});
beforeEach(() => {
  asked = [];
});
// Node has one of its own, or none.
Object.defineProperty(globalThis, 'navigator', { value: { locks: { request: async (_, __, act) => act() } } });
mock.timers.enable({ apis: ['setTimeout'] });

test('trouble with the session is not its absence, and passes', async () => {
  answers = () => [503, { title: 'Unavailable' }];
  await assert.rejects(me(), (error) => error instanceof Refused && error.status === 503);
  answers = (path) => (path === '/v1/accounts/me' ? [401, {}] : [503, {}]);
  await assert.rejects(me(), (error) => error instanceof Refused && error.status === 503);
  answers = () => [200, { account: 'a', handle: 'ann', roles: [] }];
  assert.equal((await me()).handle, 'ann');
  assert.equal((await me()).handle, 'ann');
  assert.deepEqual(asked, ['GET /v1/accounts/me', 'GET /v1/accounts/me', 'POST /v1/accounts/refresh', 'GET /v1/accounts/me']);
});

test('a session that cannot be renewed just now has not ended', async () => {
  let renewal = [503, { title: 'Unavailable' }];
  answers = (path) => {
    if (path !== '/v1/accounts/refresh') return [401, { title: 'Unauthorized' }];
    if (!renewal) throw new TypeError('Failed to fetch');
    return renewal;
  };
  await assert.rejects(ask('/v1/feed/home'), (error) => error instanceof Refused && error.status === 503);
  renewal = null;
  await assert.rejects(ask('/v1/feed/home'), { message: 'There is no connection just now.' });
  renewal = [401, { title: 'Unauthorized' }];
  await assert.rejects(ask('/v1/feed/home'), (error) => error instanceof Refused && error.status === 401);
});

test('what nobody answered is said in words, and what was given up is not', async () => {
  answers = () => {
    throw new DOMException('signal timed out', 'TimeoutError');
  };
  await assert.rejects(ask('/v1/feed/home'), (error) => error instanceof Unheard);
  answers = () => {
    throw new DOMException('This operation was aborted', 'AbortError');
  };
  await assert.rejects(ask('/v1/feed/home'), { name: 'AbortError' });
});

test('a post that cannot be had just now is not one that is gone', async () => {
  answers = (path) => (path === '/p/1' ? [200, { id: '1' }] : [410, { title: 'Gone' }]);
  assert.deepEqual((await fragments([{ f: '/p/1' }, { f: '/p/2' }])).map(({ id }) => id), ['1']);
  assert.deepEqual(await filled([{ f: '/p/1', c: null, m: 'l' }, { f: '/p/2', c: null }]), [{ f: '/p/1', c: { id: '1' }, m: 'l' }, { f: '/p/2', c: null }]);
  answers = () => [503, {}];
  await assert.rejects(fragments([{ f: '/p/1' }]), (error) => !isGone(error));
});

const room = (n, kind = 'group') => ({ id: `r${n}`, kind, name: `Room ${n}`, role: 'member', members: 2, seq: 5, read: 5, unread: 0, last_ms: 1000 - n });

test('a page doubts what it should have had, and not what is older', () => {
  const page = [room(1), room(3)];
  assert.deepEqual(doubted([room(1), room(2), room(3), room(4)], page, 'more'), ['r2']);
  assert.deepEqual(doubted([room(1), room(4)], page, null), ['r4']);
  assert.deepEqual(doubted([], [], null), []);
});

test('conversations beyond the first page are opened, stay, and are listed on demand; one that was left goes', async () => {
  let first = [room(1), room(2)];
  answers = (path, method, body) => {
    if (path === '/v1/chat/token') return [200, { token: body === '{}' ? 'shared' : `only ${body}`, channels: first.map(({ id }) => `chat:${id}`), own: { channel: 'chats:me', seq: 1 } }];
    if (path === '/v1/chat?limit=100') return [200, { conversations: first, next: 'n2' }];
    if (path === '/v1/chat?limit=100&after=n2') return [200, { conversations: [room(7), room(8)], next: null }];
    if (path === '/v1/chat/r9') return [200, { id: 'r9', kind: 'direct', name: '', role: 'member', members: 2, seq: 3, created_ms: 1 }];
    if (path === '/v1/chat/r9/cursor') return [200, { devices: [], delivered: 3, read: 2 }];
    if (path === '/v1/chat/r9/members?limit=100') return [200, { members: [{ account: 'me', name: 'ann' }, { account: 'ben', name: 'ben' }] }];
    return path.startsWith('/v1/chat/trouble') ? [503, {}] : [403, {}];
  };
  const hub = new Hub({ account: 'me', handle: 'ann', roles: [] });
  await hub.begin();
  const found = await hub.find('r9');
  assert.deepEqual([found.with.name, found.read, found.seq], ['ben', 2, 3]);
  assert.equal(await hub.find('strange'), null);
  await assert.rejects(hub.find('trouble'));
  assert.equal(await hub.token('r1'), 'shared');
  assert.equal(await hub.token('r9'), 'only {"conversations":["r9"]}');
  assert.equal(hub.hasMore(), true);
  await hub.more();
  assert.deepEqual([hub.hasMore(), hub.list().map(({ id }) => id)], [false, ['r1', 'r2', 'r7', 'r8', 'r9']]);
  // r1 was left while nobody heard it; the others are merely older than the page.
  first = [room(0), room(2)];
  await hub.look();
  assert.deepEqual(hub.list().map(({ id }) => id), ['r0', 'r2', 'r7', 'r8', 'r9']);
});

test('what came while nobody was here is told as delivered, once, and in channels not', async () => {
  const unread = (n, kind, seq) => ({ ...room(n, kind), id: `u${n}`, seq, unread: 2, last: { seq: seq - 1 } });
  let [conversations, cut] = [[unread(1, 'group', 9), unread(2, 'channel', 9), unread(3, 'direct', 9), room(4)], true];
  const told = [];
  answers = (path, method, body) => {
    if (path === '/v1/chat/token') return [200, { token: 't', channels: [], own: { channel: 'chats:other', seq: 1 } }];
    if (path === '/v1/chat?limit=100') return [200, { conversations, next: null }];
    if (method !== 'PUT') return [403, {}];
    told.push([path.split('/')[3], JSON.parse(body)]);
    return cut && path.includes('u3') ? [503, {}] : [200, {}];
  };
  const settled = () => new Promise((done) => setImmediate(done));
  const hub = new Hub({ account: 'me', handle: 'ann', roles: [] });
  await hub.begin();
  await settled();
  const here = (delivered) => ({ device: 'web', delivered, read: 0 });
  assert.deepEqual(told.splice(0), [['u1', here(8)], ['u3', here(8)]]);
  // What was lost is told again; what is known is not.
  [conversations, cut] = [[...conversations.slice(1), unread(5, 'group', 3)], false];
  await hub.look();
  await settled();
  assert.deepEqual(told.splice(0), [['u3', here(8)], ['u5', here(2)]]);
  for (const id of ['u2', 'u5']) sockets.at(-1).hears({ channel: `chat:${id}`, seq: 12, at_ms: 1, data: { type: 'message', id: 'm', from: 'ben', text: '' } });
  await settled();
  assert.deepEqual([told, hub.rooms.get('u2').unread], [[['u5', here(12)]], 3]);
});

test('a channel that is listened to again goes on where it was left', async () => {
  const end = live.listen('post:1', { hear: () => undefined });
  const socket = sockets.at(-1);
  await Promise.resolve();
  socket.hears({ subscribed: 'post:1', seq: 4 });
  socket.hears({ channel: 'post:1', seq: 5, at_ms: 1, data: {} });
  end();
  assert.deepEqual(socket.sent.at(-1), { unsubscribe: 'post:1' });
  live.listen('post:1', {});
  await new Promise((done) => setImmediate(done));
  assert.deepEqual(socket.sent.at(-1), { subscribe: 'post:1', after: 5 });
});

test('a connection that is silent is asked, and opened anew where it says nothing', () => {
  const [links, question] = [[], { call: 'pulse', method: 'GET', path: '/v1/live' }];
  live.watch((link) => links.push(link));
  const socket = sockets.at(-1);
  socket.dispatchEvent(new Event('open'));
  const questions = () => socket.sent.filter(({ call }) => call).length;
  mock.timers.tick(29_999);
  assert.equal(questions(), 0);
  mock.timers.tick(1);
  assert.deepEqual(socket.sent.at(-1), question);
  mock.timers.tick(9_999);
  socket.hears({ answer: 'pulse', status: 400, body: {} });
  mock.timers.tick(29_999);
  assert.deepEqual([questions(), links.at(-1)], [1, 'open']);
  mock.timers.tick(1);
  mock.timers.tick(10_000);
  assert.deepEqual([questions(), socket.readyState, links.at(-1)], [2, 2, 'lost']);
  // One that does not come to be open is given up too, and what the first says late is not heard.
  const before = sockets.length;
  mock.timers.tick(450);
  socket.dispatchEvent(new Event('close'));
  assert.deepEqual([sockets.length, sockets.at(-1).readyState], [before + 1, 1]);
  mock.timers.tick(10_000);
  mock.timers.tick(900);
  assert.deepEqual([sockets.length, sockets.at(-2).readyState], [before + 2, 2]);
});

test('a film that cannot be had is asked for again where that may help, and goes on from where it was', async () => {
  class Film extends EventTarget {
    isConnected = true;
    sources = [];
    currentTime = 0;
    paused = true;
    set src(at) {
      this.sources.push(at);
      [this.currentTime, this.paused] = [0, true];
    }
    async play() {
      this.paused = false;
    }
    async tells(...names) {
      for (const name of names) this.dispatchEvent(new Event(name));
      for (let n = 0; n < 5; n += 1) await new Promise((done) => setImmediate(done));
    }
  }
  globalThis.HTMLMediaElement = Film;
  answers = () => [200, { account: 'a', handle: 'ann', roles: [] }];
  let [clock, links] = [0, 0];
  mock.method(performance, 'now', () => clock);
  const [film, socket] = [new Film(), sockets.at(-1)];
  retried(film, '/film', () => (links += 1));
  socket.dispatchEvent(new Event('open'));
  Object.assign(film, { currentTime: 42, paused: false });
  await film.tells('error');
  assert.deepEqual([film.sources, film.currentTime], [['/film'], 0]);
  await film.tells('loadedmetadata', 'loadeddata');
  assert.deepEqual([film.currentTime, film.paused], [42, false]);
  // A minute later its token has run out once more, and then the line is cut.
  clock = 60_000;
  film.paused = true;
  await film.tells('error');
  socket.dispatchEvent(new Event('close'));
  await film.tells('error');
  assert.deepEqual([film.sources.length, links], [2, 0]);
  mock.timers.tick(12_000);
  sockets.at(-1).dispatchEvent(new Event('open'));
  await film.tells();
  assert.equal(film.sources.length, 3, 'the line is whole again');
  await film.tells('loadedmetadata', 'loadeddata');
  assert.deepEqual([film.currentTime, film.paused], [42, true]);
  await film.tells('error');
  assert.deepEqual([film.sources.length, links], [3, 1], 'it is broken in that place');
  mock.restoreAll();
});

test('two videos are followed by streams and others by asking, until they are gone or stopped', async () => {
  const sources = [];
  class Source extends EventTarget {
    static CLOSED = 2;
    readyState = 1;
    constructor() {
      super();
      sources.push(this);
    }
    close() {
      this.readyState = 2;
    }
  }
  globalThis.EventSource = Source;
  answers = () => [404, { title: 'Not Found' }];
  const gone = [];
  const begin = (id) => follow(id, () => undefined, () => gone.push(id));
  const settles = async () => {
    for (let n = 0; n < 10; n += 1) await new Promise((done) => setImmediate(done));
  };
  const stops = ['a', 'b', 'c'].map(begin);
  await settles();
  assert.deepEqual([sources.length, asked, gone], [2, ['GET /v1/videos/c'], ['c']]);
  // What is refused is asked for, and is told to be gone once.
  sources[0].readyState = 2;
  sources[0].dispatchEvent(new Event('error'));
  await settles();
  assert.deepEqual(gone, ['c', 'a']);
  for (const stop of stops) stop();
  assert.deepEqual(sources.map(({ readyState }) => readyState), [2, 2]);
  for (const stop of [begin('d'), begin('e')]) stop();
  assert.equal(sources.length, 4, 'each gave its place back, once');
});

test('a basket takes trouble for nothing else, and keeps what others have put in', async () => {
  const kept = new Map([['sluice-basket', 'own']]);
  globalThis.localStorage = { getItem: (name) => kept.get(name) ?? null, setItem: (name, value) => kept.set(name, value), removeItem: (name) => kept.delete(name) };
  const carts = { own: [{ variant: 'a', quantity: 2 }], mine: [{ variant: 'a', quantity: 1 }, { variant: 'b', quantity: 1 }] };
  let [trouble, deaf] = [true, false];
  answers = (path, method, body) => {
    if (path === '/v1/accounts/me') return [200, { account: 'a', handle: 'ann', roles: [] }];
    if (trouble) return [503, {}];
    const name = path.split('/').at(-1);
    if (method === 'PUT') carts[name] = JSON.parse(body).lines;
    return deaf && method === 'PUT' ? [503, {}] : [200, { lines: carts[name] }];
  };
  const basket = new Basket();
  await assert.rejects(basket.add('c', 1));
  assert.equal(kept.get('sluice-basket'), 'own', 'it is not forgotten');
  [trouble, deaf] = [false, true];
  await assert.rejects(basket.open(), 'it came along, and the answer was lost');
  deaf = false;
  await basket.open();
  assert.deepEqual([basket.lines, kept.size], [[{ variant: 'a', quantity: 2 }, { variant: 'b', quantity: 1 }], 0]);
  carts.mine = [...carts.mine, { variant: 'd', quantity: 4 }];
  await Promise.all([basket.add('c', 1), basket.add('c', 1), basket.set('b', 0)]);
  assert.deepEqual(carts.mine, [{ variant: 'a', quantity: 2 }, { variant: 'd', quantity: 4 }, { variant: 'c', quantity: 2 }]);
  assert.deepEqual(basket.lines, carts.mine);
  trouble = true;
  await assert.rejects(basket.set('a', 9));
  assert.deepEqual(basket.lines, carts.mine, 'what could not be kept is not shown');
  trouble = false;
  await basket.ordered([{ variant: 'a', quantity: 2 }, { variant: 'd', quantity: 1 }]);
  assert.deepEqual(carts.mine, [{ variant: 'd', quantity: 3 }, { variant: 'c', quantity: 2 }]);
});

test('all of a group are had, a page at a time, and of a crowd some', async () => {
  const all = Array.from({ length: 101 }, (_, n) => ({ account: String(n), name: `n${n}` }));
  answers = (path) => {
    const page = all.slice(path.includes('after=99') ? 100 : 0).slice(0, 100);
    return [200, { members: page, next: page.length === 100 ? page.at(-1).account : null }];
  };
  assert.deepEqual(await members('7', 10), { members: all, next: null });
  assert.deepEqual(asked, ['GET /v1/chat/7/members?limit=100', 'GET /v1/chat/7/members?limit=100&after=99']);
  const some = await members('7');
  assert.deepEqual([some.members.length, some.next, asked.length], [100, '99', 3]);
});
