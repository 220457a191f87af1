/** What sessions hold together of messages that are still arriving. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Connection } from '../../../mesh/peer/connection.js';
import { MAX_HELD_INPUT_BYTES, type Session, SessionTable } from '../../../mesh/session.js';

/** The table asks a connection for no more than this. */
function session(connId: number): Session & { readonly connection: { heldBytes: number } } {
  const connection = { heldBytes: 0, nextTimeout: () => null };
  return {
    connId,
    outbound: false,
    remoteAddr: `192.0.2.1:${connId}`,
    localAddr: '192.0.2.2:6783',
    mayBeUnknown: true,
    trustsRemote: false,
    connection: connection as unknown as Connection & { heldBytes: number },
    introduction: null,
    established: false,
    previousEnd: null,
    blocked: false,
    heldBytes: 0,
  };
}

test('when all hold too much, the one that holds most has to go', () => {
  const table = new SessionTable();
  const [a, b, c] = [session(1), session(2), session(3)];
  for (const one of [a, b, c]) table.add(one);
  a.connection.heldBytes = MAX_HELD_INPUT_BYTES / 2;
  assert.equal(table.noteHeld(a), null);
  b.connection.heldBytes = MAX_HELD_INPUT_BYTES / 4;
  assert.equal(table.noteHeld(b), null);
  c.connection.heldBytes = MAX_HELD_INPUT_BYTES / 4 + 1;
  assert.equal(table.noteHeld(c), a);
  table.remove(a);
  assert.equal(table.noteHeld(c), null);
  c.connection.heldBytes = 0;
  assert.equal(table.noteHeld(c), null);
  c.connection.heldBytes = MAX_HELD_INPUT_BYTES;
  assert.equal(table.noteHeld(c), c);
});
