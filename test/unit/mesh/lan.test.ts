/** Routers that find each other on a local network: the announcement, and who is called when. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { utf8 } from '../../../core/bytes.js';
import { errorCode } from '../../../core/errors.js';
import type { PeerName } from '../../../core/peer-name.js';
import {
  ANNOUNCEMENT_BYTES,
  announcementKey,
  decodeAnnouncement,
  encodeAnnouncement,
} from '../../../mesh/lan-announcement.js';
import { isLanTarget, type LanAction, LanNeighbours } from '../../../mesh/lan-neighbours.js';
import { SeededRandom } from '../../sim/seeded-random.js';

const SELF = 1 as PeerName;
const OTHER = 2 as PeerName;
const PORT = 6783;
const key = announcementKey(utf8('of this network'));

class Rig {
  readonly known = new Set<PeerName>();
  readonly neighbours: LanNeighbours;

  constructor() {
    this.neighbours = new LanNeighbours(
      { name: SELF, port: PORT, key },
      { random: new SeededRandom(1), isKnown: (peer) => this.known.has(peer) },
      0,
    );
  }

  hear(name: PeerName, atMs: number, nowMs: number, source = '198.51.100.2', port = PORT): void {
    this.neighbours.handleDatagram(encodeAnnouncement({ name, port, atMs }, key), source, nowMs);
  }

  actions(): LanAction[] {
    const actions: LanAction[] = [];
    for (let next = this.neighbours.pollAction(); next !== null; ) {
      actions.push(next);
      next = this.neighbours.pollAction();
    }
    return actions;
  }
}

describe('an announcement', () => {
  it('comes back as it was, and has no secret in it', () => {
    const announcement = { name: OTHER, port: 16783, atMs: 1_790_000_000_123 };
    const bytes = encodeAnnouncement(announcement, key);
    assert.equal(bytes.length, ANNOUNCEMENT_BYTES);
    assert.deepEqual(decodeAnnouncement(bytes, key), announcement);
    assert.ok(!Buffer.from(bytes).includes('of this network'));
  });

  it('is refused from another network, and changed ones in any bit', () => {
    const bytes = encodeAnnouncement({ name: OTHER, port: PORT, atMs: 5 }, key);
    for (const password of ['another', '']) {
      const wrong = announcementKey(utf8(password));
      assert.throws(() => decodeAnnouncement(bytes, wrong), { code: 'announcement-password' });
    }
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const changed = Uint8Array.from(bytes);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      // The byte that means nothing yet is sealed, too.
      assert.throws(() => decodeAnnouncement(changed, key));
    }
  });

  it('of any bytes is an announcement or a named error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        try {
          decodeAnnouncement(bytes, key);
        } catch (error) {
          assert.match(errorCode(error), /^announcement-(malformed|password)$/);
        }
      }),
    );
  });
});

describe('neighbours', () => {
  it('announces often at first, then every ten seconds or so', () => {
    const { neighbours } = new Rig();
    const times: number[] = [];
    let nowMs = 0;
    while (nowMs < 60_000) {
      nowMs = neighbours.nextTimeout().atMs;
      neighbours.handleTimeout(nowMs, 1_790_000_000_000 + nowMs);
      const action = neighbours.pollAction();
      assert.equal(action?.type, 'announce');
      times.push(nowMs);
    }
    assert.ok((times[2] ?? 0) < 3_000);
    const gaps = times.slice(3).map((time, index) => time - (times[index + 2] ?? 0));
    assert.ok(gaps.every((gap) => gap >= 8_000 && gap <= 12_000));
  });

  it('calls who is not in the mesh, once, and leaves the rest to gossip', () => {
    const rig = new Rig();
    rig.hear(OTHER, 1, 0);
    const text = 'lan 198.51.100.2:6783';
    const item = { text, ip: '198.51.100.2', port: null };
    assert.deepEqual(rig.actions(), [{ type: 'connect', item }]);
    assert.ok(isLanTarget(text));
    rig.hear(OTHER, 2, 10_000);
    assert.deepEqual(rig.actions(), []);
    rig.known.add(OTHER);
    rig.hear(OTHER, 3, 20_000);
    assert.deepEqual(rig.actions(), [{ type: 'forget', text }]);
    rig.known.delete(OTHER);
    rig.hear(OTHER, 4, 30_000, '198.51.100.3', 16783);
    const moved = { text: 'lan 198.51.100.3:16783', ip: '198.51.100.3', port: 16783 };
    assert.deepEqual(rig.actions(), [{ type: 'connect', item: moved }]);
  });

  it('forgets who is silent', () => {
    const rig = new Rig();
    rig.hear(OTHER, 1, 0);
    rig.actions();
    rig.neighbours.handleTimeout(60_000, 60_000);
    const kinds = rig.actions().map(({ type }) => type);
    assert.deepEqual(kinds, ['announce', 'forget']);
  });

  it('ignores itself, what is repeated, and more than it can look at', () => {
    const rig = new Rig();
    rig.hear(SELF, 1, 0);
    rig.hear(OTHER, 5, 0);
    rig.hear(OTHER, 5, 1, '203.0.113.9');
    rig.hear(OTHER, 4, 2, '203.0.113.9');
    assert.equal(rig.actions().length, 1);
    assert.equal(rig.neighbours.counters['lan-repeated'], 2);
    for (let i = 0; i < 3_000; i++) rig.hear((10 + i) as PeerName, 1, 2_000 + i * 3);
    assert.equal(rig.actions().length, 1_023);
    assert.ok((rig.neighbours.counters['lan-too-many'] ?? 0) > 1_000);
    for (let i = 0; i < 600; i++) rig.neighbours.handleDatagram(new Uint8Array(3), 'x', 20_000);
    assert.equal(rig.neighbours.counters['lan-refused'], 500);
  });
});
