import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lastHop, parseCacheStatus } from '../src/cache-status.ts';
import { trailingIndex } from '../src/boxes.ts';
import { bytes, clock, eta, rate } from '../src/format.ts';
import { kids, opened } from '../src/keys.ts';
import { health, hitRatio, inWords, offload } from '../src/operations/fleet.ts';
import { WIDTH, land, x, y } from '../src/operations/world.ts';
import { minor, money } from '../src/money.ts';
import { operations } from '../src/openapi.ts';
import { app, watched } from '../src/route.ts';
import { rungs, variant } from '../src/rungs.ts';
import { tileAt, tiles, written } from '../src/storyboard.ts';
import { admitted, guarded } from '../src/token.ts';
import { atLeast, note } from '../src/versions.ts';

test('each hop of Cache-Status is read', () => {
  const hops = parseCacheStatus('shield-a; fwd=miss; stored, near-a; hit; ttl=3599');
  assert.deepEqual(hops.map((h) => [h.node, h.outcome]), [['shield-a', 'miss'], ['near-a', 'hit']]);
  assert.equal(lastHop('"1st"; fwd=stale; detail="a, b"')?.outcome, 'stale');
  assert.equal(lastHop(''), null);
});

test('numbers are shown as people read them', () => {
  assert.equal(bytes(1536), '1.5 kB');
  assert.equal(rate(8_400_000), '8.4 Mbit/s');
  assert.equal(clock(3725), '1:02:05');
  assert.equal(clock(65), '1:05');
  assert.equal(eta(50, 100, 10), '5 s left');
  assert.equal(eta(0, 100, 0), '');
});

test('only an id is watched', () => {
  assert.equal(watched('/watch/0abc'), '0abc');
  assert.equal(watched('/watch/../x'), null);
  assert.equal(watched('/'), null);
});

test('a token goes to the media of its video, and to nothing else', () => {
  const ticket = { id: '0abc', param: 't', token: 'x.y', opens: 'media' };
  const of = (url) => admitted(url, 'http://edge/watch/0abc', ticket);
  assert.equal(of('/v/0abc/master.m3u8'), 'http://edge/v/0abc/master.m3u8?t=x.y');
  assert.equal(of('http://other/v/0abc/v720/1.m4s?CMCD=a%3D1'), 'http://other/v/0abc/v720/1.m4s?CMCD=a%3D1&t=x.y');
  assert.equal(of('http://edge/v/0abc/a.m3u8?t=old'), 'http://edge/v/0abc/a.m3u8?t=x.y');
  assert.equal(of('http://control/steer/v/0abc'), 'http://control/steer/v/0abc');
  assert.equal(of('/v/0abcd/master.m3u8'), '/v/0abcd/master.m3u8');
  assert.equal(admitted('/v/0abc/a', 'http://edge/', null), '/v/0abc/a');
});

test('of a sealed video that everybody may see, keys alone are asked for with a token', () => {
  assert.equal(guarded({ visibility: 'private', protection: 'cbcs' }), 'media');
  assert.equal(guarded({ visibility: 'unlisted', protection: 'aes-128' }), 'keys');
  assert.equal(guarded({ visibility: 'public', protection: 'none' }), null);
  const of = (url) => admitted(url, 'http://edge/watch/0abc', { id: '0abc', param: 't', token: 'x', opens: 'keys' });
  assert.equal(of('http://other/v/0abc/keys/1f.key'), 'http://other/v/0abc/keys/1f.key?t=x');
  assert.equal(of('/v/0abc/licence'), 'http://edge/v/0abc/licence?t=x');
  assert.equal(of('/v/0abc/master.m3u8'), '/v/0abc/master.m3u8');
  assert.equal(of('/v/0abcd/keys/1f.key'), '/v/0abcd/keys/1f.key');
});

test('a playlist is parted from its keys', () => {
  const [one, two] = ['00ff'.repeat(8), 'fb'.repeat(16)];
  const key = (id) => `#EXT-X-KEY:METHOD=SAMPLE-AES,URI="../keys/${id}.key"\n`;
  const text = `#EXTM3U\n${key(one)}#EXT-X-MAP:URI="a.mp4"\n${key(two)}#EXT-X-MAP:URI="b.mp4"\n${key(one)}c.m4s\n`;
  assert.deepEqual(opened(text), { text: '#EXTM3U\n#EXT-X-MAP:URI="a.mp4"\n#EXT-X-MAP:URI="b.mp4"\nc.m4s\n', ids: [one, two] });
  const whole = text.replaceAll('SAMPLE-AES', 'AES-128');
  assert.deepEqual(opened(whole), { text: whole, ids: [] });
  assert.deepEqual(kids([two]), ['-_v7-_v7-_v7-_v7-_v7-w']);
});

test('a rung that is a variant with each group of sound is listed once', () => {
  const of = (rung, height, bitrate, group) => ({ uri: `http://edge/v/0abc/${rung}/index.m3u8?t=x`, width: height * 2, height, bitrate, audioGroups: [group] });
  const all = [of('v240', 240, 530, 'stereo'), of('v240', 240, 720, 'surround'), of('v480', 480, 1630, 'stereo'), of('v480', 480, 1820, 'surround')];
  assert.deepEqual(rungs(all).map((rung) => [rung.name, rung.bitrate]), [['v480', 1630], ['v240', 530]]);
  assert.equal(variant(all, 'v480', 'surround'), 3);
  assert.equal(variant(all, 'v480', undefined), 2);
  assert.equal(variant(all, 'v720', 'stereo'), -1);
});

const box = (kind, bytes) => {
  const all = new Uint8Array(bytes + 8);
  new DataView(all.buffer).setUint32(0, bytes + 8);
  all.set(new TextEncoder().encode(kind), 4);
  return all;
};
const large = (kind, bytes) => {
  const all = new Uint8Array(bytes + 16);
  const view = new DataView(all.buffer);
  view.setUint32(0, 1);
  view.setBigUint64(8, BigInt(bytes + 16));
  all.set(new TextEncoder().encode(kind), 4);
  return all;
};

test('an index behind the film is found', async () => {
  const of = (...boxes) => trailingIndex(new Blob(boxes));
  const [ftyp, film, moov] = [box('ftyp', 16), box('mdat', 900), box('moov', 50)];
  assert.equal(await of(ftyp, film, moov), 24 + 908);
  assert.equal(await of(ftyp, large('mdat', 900), box('free', 3), moov), 24 + 916 + 11);
  for (const other of [[ftyp, moov, film], [ftyp, film], [film, box('moof', 9), moov], [film, moov.slice(0, 40)], [new Uint8Array(64)], [], ['RIFF....AVI LIST']]) {
    assert.equal(await of(...other), null);
  }
});

test('a storyboard says which part of which sheet is shown when', () => {
  const text = 'WEBVTT\n\n00:00:00.000 --> 00:00:02.500\nstoryboard/0-a.jpg#xywh=0,0,160,90\n\n01:00:02.500 --> 01:00:05.000\nstoryboard/0-a.jpg#xywh=160,90,160,90\n';
  const all = tiles(text, (uri) => `http://edge/${uri}?t=x`);
  assert.deepEqual(all[1], { from: 3602.5, to: 3605, url: 'http://edge/storyboard/0-a.jpg?t=x', x: 160, y: 90, width: 160, height: 90 });
  assert.equal(tileAt(all, 3)?.x, 0);
  assert.equal(tileAt(all, 4000)?.x, 160);
  assert.equal(tileAt([], 1), null);
  assert.deepEqual(tiles(written(all), (uri) => uri), all);
});

test('a fleet is told in a few words, and ratios of nothing are none', () => {
  const node = (state, health = 1, load = null) => ({ state, health, load });
  assert.equal(inWords([]), 'No edge has reported yet');
  assert.equal(inWords([node('ready'), node('ready')]), 'All 2 nodes ready');
  assert.equal(inWords([node('ready'), node('draining'), node('gone'), node('gone')]), '1 of 4 nodes ready, 1 draining, 2 gone');
  assert.deepEqual([[node('ready')], [node('ready', 0.4)], [node('ready', 1, 0.95)], [node('draining')], [node('gone')], []].map(health), ['good', 'warn', 'warn', 'warn', 'bad', 'bad']);
  assert.deepEqual([hitRatio({ hits: 9, misses: 1 }), hitRatio({ hits: 0, misses: 0 })], [0.9, null]);
  assert.deepEqual([offload({ out_mbps: 10, origin_mbps: 1 }), offload({ out_mbps: 10, origin_mbps: 30 }), offload({ out_mbps: 0, origin_mbps: 0 })], [0.9, 0, null]);
});

test('the land is drawn without a line across the world', () => {
  assert.deepEqual([x(-180), x(180), y(84)], [0, WIDTH, 0]);
  const rings = land().split('M').slice(1).map((ring) => ring.replace('Z', '').split('L').map((at) => at.split(',').map(Number)));
  assert.ok(rings.length > 100);
  for (const ring of rings) {
    for (let n = 1; n < ring.length; n += 1) assert.ok(Math.abs(ring[n][0] - ring[n - 1][0]) < WIDTH / 4, `${ring[n - 1]} to ${ring[n]}`);
  }
});

test('a page shows at least what it has written, and remembers the newest of a few tags', () => {
  note('post:1=3 user:ann=2');
  note(null);
  note('stock:7=4');
  note('post:1=2 thread:1=9');
  assert.equal(atLeast(), 'user:ann=2 stock:7=4 post:1=3 thread:1=9');
  note('nonsense =5 x=y');
  for (let n = 0; n < 40; n += 1) note(`t:${n}=1`);
  assert.equal(atLeast().split(' ').length, 16);
});

test('amounts are written as people write them', () => {
  assert.equal(money(4990, 'EUR'), '€49.90');
  assert.equal(money(500, 'JPY'), '¥500');
  assert.deepEqual([minor(49.9, 'EUR'), minor(500, 'JPY'), minor(1.005, 'KWD'), minor(0.29, 'USD')], [4990, 500, 1005, 29]);
});

test('each app has its path, and every other is of videos', () => {
  assert.deepEqual(['/', '/watch/abc', '/shop', '/chat', '/feed', '/feeds'].map(app), ['videos', 'videos', 'shop', 'chat', 'feed', 'videos']);
});

test('a description is read for people', () => {
  const thing = { type: 'object', required: ['id'], properties: { id: { type: 'string', description: 'Its id' }, more: { $ref: '#/components/schemas/Thing' } } };
  const of = {
    paths: {
      '/v1/things/{id}': {
        parameters: [{ name: 'id', in: 'path', required: true, schema: { type: 'string' } }],
        put: {
          summary: 'Keeps it.',
          requestBody: { content: { 'application/json': { schema: { $ref: '#/components/schemas/Thing' } } } },
          responses: { 200: { description: 'Kept', content: { 'application/json': { schema: { $ref: '#/components/schemas/Thing' } } } } },
        },
      },
    },
    components: { schemas: { Thing: thing } },
  };
  const [one] = operations(of, 'http://edge');
  assert.deepEqual([one.method, one.title, one.parameters[0].place, one.answers[0].status], ['PUT', 'Keeps it', 'path', '200']);
  assert.equal(one.curl, `curl -X PUT -H "authorization: Bearer $TOKEN" --json '{"id":"..."}' 'http://edge/v1/things/{id}'`);
  assert.ok(one.body.shape.startsWith('{\n  id: string  // Its id\n  more?: {'), one.body.shape);
  assert.ok(one.body.shape.includes('Thing'), 'what contains itself ends somewhere');
});
