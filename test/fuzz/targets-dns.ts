/** Queries of hostile clients and names of hostile peers. */
import { decode, encode } from 'dns-packet';
import { DecodeError } from '../../core/errors.js';
import type { PeerName } from '../../core/peer-name.js';
import { DnsCounters } from '../../dns/dns-counters.js';
import { addressCodec, type NamesCodec, recordCodec } from '../../dns/gossip-codec.js';
import { NamesNews } from '../../dns/name-channel.js';
import { Names } from '../../dns/names.js';
import { isServerAddress, nameServersOf } from '../../dns/resolv-conf.js';
import { Responder } from '../../dns/responder.js';
import { Zone } from '../../dns/zone.js';
import { SeededRandom } from '../sim/seeded-random.js';
import type { FuzzTarget } from './target.js';

const US = 1 as PeerName;
const UDP_LIMIT_BYTES = 1232;

/** @param isGone whether the peers above 10 have left. */
function newNames(isGone: () => boolean = () => false): Names {
  return new Names(
    { localPeer: US, domain: 'weave.local.' },
    {
      clock: { nowMs: () => 0, wallMs: () => 1_700_000_000_000 },
      isKnownPeer: (name) => name < (isGone() ? 11 : 12),
      warn: () => {},
    },
  );
}

function queryTarget(): FuzzTarget {
  const names = newNames();
  const add = (name: string, type: 'A' | 'AAAA' | 'CNAME' | 'SRV', data: string) =>
    names.register(name, 'c', { type, data });
  for (let i = 0; i < 40; i++) add('many.weave.local.', 'A', `10.32.0.${i}`);
  add('six.weave.local.', 'AAAA', 'fd00::6');
  add('alias.weave.local.', 'CNAME', 'many.weave.local.');
  add('circle.weave.local.', 'CNAME', 'circle.weave.local.');
  add('_http._tcp.weave.local.', 'SRV', '10 60 80 many.weave.local.');
  const random = new SeededRandom(1);
  const network = { address: 0x0a200000, prefixLength: 16 } as never;
  const zone = new Zone(
    { domain: 'weave.local.', ttlSeconds: 1 },
    { table: names.table, overlayNetworks: () => [network] },
  );
  const responder = new Responder(
    { maxUdpBytes: UDP_LIMIT_BYTES },
    { zone, random, revision: () => 0, counters: new DnsCounters(), onProbe: () => false },
  );
  return {
    name: 'dns-query',
    seeds: querySeeds(),
    run(input) {
      const query = Buffer.from(input);
      const verdict = responder.handleQuery(query);
      if (verdict.kind === 'drop') return;
      const given =
        verdict.kind === 'answer' ? verdict : responder.failure(verdict.query, 'SERVFAIL');
      const { template, udpLimitBytes, isError } = given;
      for (const limit of [udpLimitBytes, 0xffff]) {
        const answer = template.render(query.readUInt16BE(0), limit, random);
        if (answer.length > limit) throw new Error(`${answer.length} bytes for ${limit}`);
        // The OPT record is what an error may have beyond the query's own bytes.
        if (isError && answer.length > query.length + 11) throw new Error('an error amplifies');
        const { id, flag_qr: isResponse } = decode(answer);
        if (id !== query.readUInt16BE(0) || !isResponse) throw new Error('no answer to this query');
      }
    },
  };
}

/** Good queries, about names of ours and of others. */
export function querySeeds(): Uint8Array[] {
  const names = ['many', 'six', 'alias', 'circle', '_http._tcp', 'nope'].map(
    (name) => `${name}.weave.local`,
  );
  const all = [...names, 'many', '.', 'www.example', '7.0.32.10.in-addr.arpa', '6.ip6.arpa'];
  const opt = {
    ...{ type: 'OPT' as const, name: '.', udpPayloadSize: 4096, flags: 0, options: [] },
    ...{ extendedRcode: 0, ednsVersion: 0, flag_do: false },
  };
  return all.flatMap((name) =>
    (['A', 'AAAA', 'SRV', 'PTR', 'NULL'] as const).map((type, i) =>
      encode({
        ...{ type: 'query', id: 4711, flags: 0x0100, questions: [{ name, type }] },
        additionals: i % 2 === 0 ? [] : [opt],
      }),
    ),
  );
}

/** Everything that a message can set off, and the state that it leaves. */
function gossipTarget(codec: NamesCodec, seeds: Uint8Array[]): FuzzTarget {
  return {
    name: `dns-gossip-${codec.channel}`,
    seeds,
    run(input) {
      let isGone = false;
      const names = newNames(() => isGone);
      names.onBroadcast = (entries) => void new NamesNews(codec, entries, 0).encode();
      names.register('mine.weave.local.', 'c', { type: 'A', data: '10.0.0.1' });
      try {
        const result = names.handleGossip(codec.decode(input), 0);
        if (result === null) return;
        const news = new NamesNews(codec, result.relayed, 0).merge(
          new NamesNews(codec, result.news, 1),
        );
        for (const payload of news.encode()) codec.decode(payload);
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error;
      }
      names.handleTimeout(1000);
      isGone = true;
      names.handlePeerGone(11 as PeerName, 1000);
      names.handleTimeout(20_000);
      if (names.own().length !== 1) throw new Error('a peer changed our names');
      if (names.table.hasEntriesOf(11 as PeerName)) throw new Error('a peer that left has names');
    },
  };
}

const entry = (origin: number, data: string, tombstone = 0) => ({
  ...{ hostname: 'Web.weave.local.', origin: origin as PeerName, containerId: 'c1' },
  ...{ version: 3, tombstone, data },
});

const addressSeeds = [
  addressCodec.encode({
    timestamp: 1_700_000_000,
    entries: [
      { ...entry(11, '10.32.0.1'), type: 'A' },
      { ...entry(1, '10.32.0.2'), type: 'A' },
      { ...entry(99, '10.32.0.3', 1_699_999_000), type: 'A' },
    ],
  }),
];
const recordSeeds = [
  recordCodec.encode({
    timestamp: 1_700_000_000,
    entries: [
      { ...entry(11, 'fd00::1'), type: 'AAAA' },
      { ...entry(11, 'web.weave.local.'), type: 'CNAME' },
      { ...entry(1, '10 60 80 web.weave.local.', 1_699_999_999), type: 'SRV' },
    ],
  }),
];

const resolvConf: FuzzTarget = {
  name: 'dns-resolv-conf',
  seeds: [Buffer.from('# x\noptions trust-ad ndots:5\nnameserver fe80::1%eth0\nsearch a b\n')],
  run(input) {
    const servers = nameServersOf(Buffer.from(input).toString());
    if (servers.length > 16) throw new Error('too many servers');
    servers.forEach(isServerAddress);
  },
};

export const targets: FuzzTarget[] = [
  queryTarget(),
  gossipTarget(addressCodec, addressSeeds),
  gossipTarget(recordCodec, recordSeeds),
  resolvConf,
];
