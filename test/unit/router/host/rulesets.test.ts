/** Packet-filter scripts and what is read back from listings. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseCidr } from '../../../../core/ip.js';
import {
  fingerprint,
  hostRuleset,
  unmasqueradedNetworks,
  workloadCleanup,
  workloadRuleset,
} from '../../../../router/host/rulesets.js';

const exposure = (cidr: string, masquerade: boolean) => ({ cidr: parseCidr(cidr), masquerade });

test('sources are kept on the way to ranges of this host', () => {
  const input = { bridge: 'weave', apiPort: null, exposures: [exposure('10.2.1.1/24', true)] };
  const ranges = ['10.2.1.0-10.2.1.63', '10.2.1.128-10.2.1.191'];
  const lines = hostRuleset({ ...input, keepSourcesTo: ranges }).split('\n');
  assert.ok(lines.some((line) => line.includes(`elements = { ${ranges.join(', ')} }`)));
  const at = lines.indexOf('ip daddr @local-ranges return');
  assert.ok(at > 0 && at < lines.findIndex((line) => line.endsWith(' masquerade')));
  // Without ranges yet, and without the option.
  for (const keepSourcesTo of [[], null]) {
    assert.equal(hostRuleset({ ...input, keepSourcesTo }), hostRuleset(input));
  }
});

test('the host script replaces the whole table in one transaction', () => {
  const script = hostRuleset({
    bridge: 'weave',
    apiPort: 6784,
    exposures: [
      exposure('10.2.1.1/24', true),
      exposure('10.2.1.2/24', true),
      exposure('10.3.0.1/16', false),
    ],
  });
  const lines = script.split('\n');
  assert.deepEqual(lines.slice(0, 3), [
    'add table ip weave',
    'delete table ip weave',
    'table ip weave {',
  ]);
  assert.deepEqual(
    lines.filter((line) => line.includes('masquerade') || line.includes('return')),
    [
      'ip saddr 10.2.1.0/24 ip daddr 224.0.0.0/4 return',
      'ip daddr 10.2.1.0/24 ip saddr != 10.2.1.0/24 masquerade',
      'ip saddr 10.2.1.0/24 ip daddr != 10.2.1.0/24 masquerade',
    ],
  );
  assert.deepEqual(
    lines.filter((line) => line.startsWith('oifname "weave" ip daddr')),
    ['oifname "weave" ip daddr 10.2.1.0/24 accept', 'oifname "weave" ip daddr 10.3.0.0/16 accept'],
  );
});

test('an API without TCP port needs no guard', () => {
  const script = hostRuleset({ bridge: 'br0', apiPort: null, exposures: [] });
  assert.doesNotMatch(script, /dport|masquerade/);
  assert.match(script, /iifname "br0" oifname "br0" accept/);
});

test('a workload accepts multicast from its own networks, each once', () => {
  const addresses = ['10.2.1.1/24', '10.2.1.2/24', '10.4.1.1/32'].map(parseCidr);
  const rules = workloadRuleset('ethwe', addresses)
    .split('\n')
    .filter((line) => line.startsWith('add rule'));
  const chain = 'add rule ip weave input-ethwe iifname "ethwe" ip daddr 224.0.0.0/4';
  assert.deepEqual(rules, [
    `${chain} ip saddr 10.2.1.0/24 accept`,
    `${chain} ip saddr 10.4.1.1/32 accept`,
    `${chain} counter drop`,
  ]);
});

test('cleaning up leaves chains of other interfaces in place', () => {
  const chain = (name: string) => ({ chain: { family: 'ip', table: 'weave', name } });
  const [ours, other] = [chain('input-ethwe'), chain('input-eth0')];
  assert.equal(workloadCleanup('ethwe', null), null);
  assert.equal(workloadCleanup('ethwe', [other]), null);
  assert.match(workloadCleanup('ethwe', [ours]) ?? '', /delete table ip weave/);
  const partial = workloadCleanup('ethwe', [ours, other]) ?? '';
  assert.match(partial, /delete chain ip weave input-ethwe/);
  assert.doesNotMatch(partial, /table ip weave/);
});

test('fingerprints ignore handles and counters, and nothing else', () => {
  const listing = (handle: number, packets: number, verdict: string) => [
    { metainfo: { version: '1.0.6', release_name: `r${handle}` } },
    {
      rule: {
        chain: 'input',
        handle,
        expr: [{ counter: { packets, bytes: 1 } }, { [verdict]: null }],
      },
    },
  ];
  assert.equal(fingerprint(listing(1, 0, 'drop')), fingerprint(listing(7, 9, 'drop')));
  assert.notEqual(fingerprint(listing(1, 0, 'drop')), fingerprint(listing(1, 0, 'accept')));
  assert.equal(fingerprint(null), '');
});

test('networks exposed without masquerading are read from the rules', () => {
  const match = (field: string, op: string, right: unknown) => ({
    match: { op, left: { payload: { protocol: 'ip', field } }, right },
  });
  const net = (addr: string, len: number) => ({ prefix: { addr, len } });
  const rule = (chain: string, ...expr: unknown[]) => ({ rule: { chain, expr } });
  const listing = [
    { table: { name: 'weave' } },
    rule('forward', match('daddr', '==', net('10.2.1.0', 24)), { accept: null }),
    rule('forward', match('daddr', '==', net('10.3.0.0', 16)), { accept: null }),
    rule('forward', match('daddr', '==', '10.4.1.1'), { accept: null }),
    rule(
      'postrouting',
      match('saddr', '==', net('10.2.1.0', 24)),
      match('daddr', '!=', net('10.2.1.0', 24)),
      { masquerade: null },
    ),
    rule('input', match('daddr', '==', '127.0.0.1'), { drop: null }),
  ];
  assert.deepEqual([...unmasqueradedNetworks(listing)].sort(), ['10.3.0.0/16', '10.4.1.1/32']);
  assert.equal(unmasqueradedNetworks(null).size, 0);
});
