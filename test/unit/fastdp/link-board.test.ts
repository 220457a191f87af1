/** What the primary publishes about a link, as the followers read it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LinkBoard, type PublishedPath } from '../../../fastdp/link-board.js';

const path: PublishedPath = {
  remoteIp: 0xc633_6401 | 0,
  remotePort: 6783,
  mtu: 1412,
  maxPayloadBytes: 1472,
  mtuKnown: true,
  stackFragmentationTrusted: false,
};
const unknown = (): PublishedPath => ({
  remoteIp: 0,
  remotePort: 0,
  mtu: 0,
  maxPayloadBytes: 0,
  mtuKnown: false,
  stackFragmentationTrusted: false,
});

test('a follower has what was published last', () => {
  const buffer = LinkBoard.createBuffer();
  const [primary, follower] = [new LinkBoard(buffer), new LinkBoard(buffer)];
  const copy = unknown();
  follower.read(copy);
  assert.deepEqual(copy, unknown());
  for (const next of [path, { ...path, mtu: 1200, stackFragmentationTrusted: true }, path]) {
    primary.publish(next);
    follower.read(copy);
    assert.deepEqual(copy, next);
  }
});

test('what is being written is left for the next round', () => {
  const buffer = LinkBoard.createBuffer();
  const [primary, follower] = [new LinkBoard(buffer), new LinkBoard(buffer)];
  const copy = unknown();
  primary.publish(path);
  const version = new Int32Array(buffer, 0, 1);
  Atomics.add(version, 0, 1);
  follower.read(copy);
  assert.deepEqual(copy, unknown());
  Atomics.add(version, 0, 1);
  follower.read(copy);
  assert.deepEqual(copy, path);
});

test('large traffic is noted once until it is taken', () => {
  const buffer = LinkBoard.createBuffer();
  const [primary, follower] = [new LinkBoard(buffer), new LinkBoard(buffer)];
  assert.equal(primary.takeLargeTraffic(), false);
  follower.noteLargeTraffic();
  follower.noteLargeTraffic();
  assert.deepEqual([primary.takeLargeTraffic(), primary.takeLargeTraffic()], [true, false]);
});
