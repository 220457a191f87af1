/** Dropped packets: parsing of first bytes, what is told, what is counted, limits. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { LogFields } from '../../../../../core/log.js';
import { silentLogger } from '../../../../../core/log.js';
import { DropLog } from '../../../../../k8s/npc/daemon/drop-log.js';
import { parseNetfilterMessages } from '../../../../../k8s/npc/daemon/netlink-messages.js';
import { parseFlow } from '../../../../../k8s/npc/daemon/packet.js';

const hex = (text: string): Uint8Array => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');

/** IPv4 10.32.0.7:56648 → 10.32.0.11:80, SYN. */
const SYN = hex(`4500 003c 0000 4000 4006 0000 0a20 0007 0a20 000b
  dd48 0050 0000 0001 0000 0000 a002 faf0 0000 0000`);

function syn(port: number, source = 7): Uint8Array {
  const bytes = Uint8Array.from(SYN);
  new DataView(bytes.buffer).setUint16(22, port);
  bytes[15] = source;
  return bytes;
}

function rig() {
  const lines: [string, LogFields | undefined][] = [];
  const log = new DropLog(
    {
      log: { ...silentLogger, warn: (text, fields) => lines.push([text, fields]) },
      explain: () => ({
        from: 'shop/web',
        to: 'shop/db',
        direction: 'ingress',
        policies: ['shop/a', 'shop/b', 'shop/c', 'shop/d'],
      }),
    },
    0,
  );
  return { lines, log };
}

test('flows of IPv4 and IPv6, with extension headers and fragments', () => {
  const { opens, ...flow } = parseFlow(SYN) ?? assert.fail();
  assert.equal(opens, true);
  assert.deepEqual(flow, {
    protocol: 'TCP',
    source: '10.32.0.7',
    destination: '10.32.0.11',
    sourcePort: 56648,
    destinationPort: 80,
  });
  const address = (last: string): string => `fd00 0000 0000 0000 0000 0000 0000 ${last}`;
  const udp = '0400 0035 0008 0000';
  const plain = `6000 0000 0008 11 40 ${address('0001')} ${address('0002')}`;
  assert.equal(parseFlow(hex(`${plain} ${udp}`))?.destinationPort, 53);
  assert.equal(parseFlow(hex(`${plain} ${udp}`))?.source, 'fd00::1');
  const extended = `6000 0000 0010 00 40 ${address('0001')} ${address('0002')} 11 00 0104 00000000`;
  assert.equal(parseFlow(hex(`${extended} ${udp}`))?.destinationPort, 53);
  const fragment = `6000 0000 0010 2c 40 ${address('0001')} ${address('0002')} 11 00 0008 00000000`;
  assert.equal(parseFlow(hex(`${fragment} ${udp}`))?.destinationPort, 0);
});

test('the line begins as the original writes it and names pods and policies', () => {
  const { lines, log } = rig();
  log.handlePacket(SYN, 'p', 0);
  assert.deepEqual(lines, [
    [
      'TCP connection from 10.32.0.7:56648 to 10.32.0.11:80 blocked by Weave NPC.',
      {
        from: 'shop/web',
        to: 'shop/db',
        direction: 'ingress',
        policy: 'shop/a,shop/b,shop/c,+1',
        suppressed: undefined,
      },
    ],
  ]);
});

test('a flow that is tried again tells so once in ten seconds, with how often', () => {
  const { lines, log } = rig();
  for (let ms = 0; ms <= 10_000; ms += 1000) log.handlePacket(SYN, 'p', ms);
  assert.equal(lines.length, 2);
  assert.equal(lines[1]?.[1]?.['suppressed'], 9);
  assert.deepEqual(log.blocked(), [{ protocol: 'tcp', port: '80', count: 11 }]);
});

test('a port scan fills neither the log nor the metrics', () => {
  const { lines, log } = rig();
  for (let port = 1; port <= 60_000; port++)
    log.handlePacket(syn(port, port % 250), 'p', port / 60);
  assert.ok(lines.length <= 20 + 1000 / 200 + 1, `${lines.length} lines`);
  const blocked = log.blocked();
  assert.ok(blocked.length <= 513, `${blocked.length} series`);
  assert.equal(
    blocked.reduce((sum, { count }) => sum + count, 0),
    60_000,
  );
  assert.equal(log.suppressed, 60_000 - lines.length);
});

test('any bytes end in a flow or a count', () => {
  const { log } = rig();
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      log.handlePacket(bytes, '', 0);
      for (const message of parseNetfilterMessages(bytes)) assert.ok(message.kind !== undefined);
    }),
  );
  assert.ok(log.malformed > 0);
});
