/** Peer names derived from system ids are those that the original derives. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { utf8 } from '../../../core/bytes.js';
import { formatPeerName } from '../../../core/peer-name.js';
import {
  derivePeerName,
  peerNameFromSystemId,
  systemIdsOf,
} from '../../../router/derive-peer-name.js';
import { loadVectors } from '../../support/vectors.js';

test('the derived peer name is the original’s', () => {
  const vectors = loadVectors<{ from_system_id: { name: string; system_id: string }[] }>(
    'names.json',
  );
  for (const { name, system_id: id } of vectors.from_system_id) {
    assert.equal(formatPeerName(peerNameFromSystemId(utf8(id))), name);
  }
  const both = vectors.from_system_id.at(-1) as { name: string; system_id: string };
  const [machine, uuid] = both.system_id.split(/(?<=\n)/) as [string, string];
  assert.equal(formatPeerName(derivePeerName(systemIdsOf(machine, uuid))), both.name);
  assert.throws(() => derivePeerName(systemIdsOf('', '')), { code: 'system-id-missing' });
});
