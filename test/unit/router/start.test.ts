/** Decisions of a starting router: its name, its targets. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePeerName } from '../../../core/peer-name.js';
import { choosePeerName, type PeerNameInput } from '../../../router/choose-peer-name.js';
import { peerNameFromSystemId, systemIdsOf } from '../../../router/derive-peer-name.js';
import { chooseStartTargets } from '../../../router/start-targets.js';
import { seededRandom } from '../../support/topology.js';

const ids = systemIdsOf('0123456789abcdef\n', '');
const all: PeerNameInput = {
  option: parsePeerName('::1'),
  bridgeMac: '02:00:00:00:00:02',
  stored: '02:00:00:00:00:03',
  systemIds: ids,
};

test('the name comes from the first source that has one', () => {
  const random = seededRandom(1);
  const choose = (input: Partial<PeerNameInput>) => choosePeerName({ ...all, ...input }, random);
  assert.deepEqual(choose({}), { name: parsePeerName('::1'), source: 'option' });
  assert.deepEqual(choose({ option: null }), {
    name: parsePeerName('02:00:00:00:00:02'),
    source: 'bridge',
  });
  assert.deepEqual(choose({ option: null, bridgeMac: null }), {
    name: parsePeerName('02:00:00:00:00:03'),
    source: 'last run',
  });
  assert.deepEqual(choose({ option: null, bridgeMac: null, stored: null }), {
    name: peerNameFromSystemId(ids.machineId),
    source: 'machine',
  });
});

test('a bridge without MAC address is no source', () => {
  const input = { ...all, option: null, bridgeMac: '00:00:00:00:00:00' };
  assert.equal(choosePeerName(input, seededRandom(1)).source, 'last run');
});

test('a host without any identity gets a random unicast name of local administration', () => {
  const input = { option: null, bridgeMac: null, stored: null, systemIds: systemIdsOf('', '') };
  for (let seed = 0; seed < 50; seed++) {
    const { name, source } = choosePeerName(input, seededRandom(seed));
    assert.equal(source, 'random');
    assert.equal(Math.floor(name / 2 ** 40) & 3, 2);
  }
});

test('a launch uses what it is given, a restart what connect and forget left', () => {
  const stored = { given: ['a'], targets: ['a', 'b'], started: true };
  assert.deepEqual(chooseStartTargets({ given: ['a'], resume: false, stored }), ['a', 'b']);
  assert.deepEqual(chooseStartTargets({ given: ['c'], resume: false, stored }), ['c']);
  const stopped = { ...stored, started: false };
  assert.deepEqual(chooseStartTargets({ given: ['a'], resume: false, stored: stopped }), ['a']);
  assert.deepEqual(chooseStartTargets({ given: [], resume: true, stored: stopped }), ['a', 'b']);
});
