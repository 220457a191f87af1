/**
 * Queries of the golden data, sent to a real server with a scripted resolver behind it. Where this
 * version answers otherwise, the list below says how and why.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Answer } from 'dns-packet';
import { fromHex } from '../../../../core/bytes.js';
import { nameServersOf } from '../../../../dns/resolv-conf.js';
import { loadVectors } from '../../../support/vectors.js';
import { fromVector, type VectorEntry } from '../entries.js';
import { ScriptedUpstream } from './scripted-upstream.js';
import { type Answered, decodeAnswer, ServerRig } from './server-rig.js';

interface QueryVector {
  readonly name: string;
  readonly proto: 'udp' | 'tcp';
  readonly request_hex: string;
  readonly no_response?: boolean;
  readonly response?: {
    readonly rcode: string;
    readonly answers: number;
    readonly answers_sorted?: readonly string[];
    readonly size: number;
    readonly [flag: string]: unknown;
  };
  readonly upstream_queries: readonly {
    readonly proto: string;
    readonly qname: string;
    readonly qtype: string;
  }[];
}

interface QueryVectors {
  readonly entries: readonly VectorEntry[];
  readonly queries: readonly QueryVector[];
  readonly resolv_conf: readonly { readonly text?: string; readonly servers: readonly string[] }[];
}

const vectors = loadVectors<QueryVectors>('dns-queries.json');

interface Difference {
  readonly why: string;
  readonly check: (answer: Answered, size: number) => void;
}

const rcodeIs =
  (rcode: string) =>
  ({ rcode: is }: Answered): void =>
    assert.equal(is, rcode);

/** Negative answers are ours to give and say for how long they hold. */
function assertNegative(answer: Answered, rcode: string): void {
  assert.equal(answer.rcode, rcode);
  assert.equal(answer.flag_aa, true);
  assert.deepEqual(answer.answers, []);
  assert.match(textOf(first(answer.authorities)), /\t1\tIN\tSOA\t/);
}

const negative = (why: string, rcode: string): Difference => ({
  why,
  check: (answer) => assertNegative(answer, rcode),
});

const compressed = (count: number): Difference => ({
  why: 'answers are compressed, so more of them fit; less than 512 bytes is no size (RFC 6891)',
  check: (answer, size) => {
    assert.equal(answer.rcode, 'NOERROR');
    assert.equal(answer.answers?.length, count);
    assert.equal(answer.flag_tc, count < 50);
    assert.ok(size <= 1232);
  },
});

const SOA = 'NXDOMAIN with SOA (RFC 2308)';
const FORWARDED: Difference = {
  why: 'a reverse zone that is not ours is the business of others',
  check: (answer) => {
    assert.equal(answer.rcode, 'NOERROR');
    assert.match(textOf(first(answer.answers)), /192\.0\.2\.1$/);
  },
};

const DIFFERENCES: Readonly<Record<string, Difference>> = {
  'sub-domain itself (empty non-terminal)': negative('RFC 8020', 'NOERROR'),
  'unknown name': negative(SOA, 'NXDOMAIN'),
  'tombstoned name': negative(SOA, 'NXDOMAIN'),
  'AAAA of an unknown name': negative(SOA, 'NXDOMAIN'),
  'domain apex A': negative('the domain exists', 'NOERROR'),
  'class CH': { why: 'we have no data of other classes', check: rcodeIs('REFUSED') },
  'opcode STATUS': { why: 'RFC 1035 4.1.1', check: rcodeIs('NOTIMP') },
  'two questions': { why: 'RFC 9619', check: rcodeIs('FORMERR') },
  'foreign name, two questions': { why: 'RFC 9619', check: rcodeIs('FORMERR') },
  'no question': { why: 'the query is at fault, not the server', check: rcodeIs('FORMERR') },
  'fifty addresses, plain UDP': compressed(29),
  'fifty addresses, EDNS0 700': compressed(40),
  'fifty addresses, EDNS0 100': compressed(29),
  'fifty addresses, EDNS0 0': compressed(29),
  'PTR of a partial reverse name': FORWARDED,
  'PTR of in-addr.arpa itself': FORWARDED,
  'PTR with a bad octet': FORWARDED,
  'root NS': FORWARDED,
  'foreign answer larger than 512 when uncompressed': {
    why: 'what a client has no room for is cut and said so (RFC 2181 9), not repacked',
    check: (answer) => {
      assert.equal(answer.flag_tc, true);
      assert.deepEqual(answer.answers, []);
    },
  },
};

function first(records: readonly Answer[] | undefined): Answer {
  const [record] = records ?? [];
  assert.ok(record !== undefined);
  return record;
}

function textOf(answer: Answer): string {
  const { name, type } = answer;
  const { ttl, data } = answer as { readonly ttl?: number; readonly data?: unknown };
  return `${name}.\t${ttl}\tIN\t${type}\t${data}${type === 'PTR' ? '.' : ''}`;
}

test('queries of the golden data', { timeout: 120_000 }, async (t) => {
  const upstream = await ScriptedUpstream.start();
  t.after(() => upstream.close());
  const rig = await ServerRig.start(t, {
    upstreams: ['127.0.0.9', '127.0.0.1'],
    upstreamPort: upstream.port,
    upstreamTimeoutMs: 300,
  });
  rig.names.table.merge(vectors.entries.map(fromVector));
  const unused = new Set(Object.keys(DIFFERENCES));
  for (const vector of vectors.queries) {
    if (vector.name === 'TTL 30 configured') continue;
    await t.test(vector.name, async () => {
      upstream.queries.length = 0;
      const bytes = fromHex(vector.request_hex);
      const answer = await (vector.proto === 'udp'
        ? rig.udp(bytes, vector.no_response === true ? 100 : undefined)
        : rig.tcp(bytes));
      if (vector.response === undefined) {
        assert.equal(answer, null);
        return;
      }
      assert.ok(answer !== null);
      assert.equal(answer.readUInt16BE(0), 0x1234);
      unused.delete(vector.name);
      const difference = DIFFERENCES[vector.name];
      if (difference !== undefined) difference.check(decodeAnswer(answer), answer.length);
      else assertAsOriginal(decodeAnswer(answer), vector, upstream);
    });
  }
  assert.deepEqual([...unused], []);
});

function assertAsOriginal(
  answer: Answered,
  { response, upstream_queries: asked }: QueryVector,
  upstream: ScriptedUpstream,
): void {
  assert.ok(response !== undefined);
  assert.equal(answer.rcode, response.rcode);
  if (response.rcode === 'FORMERR') return;
  assert.equal(answer.answers?.length, response.answers);
  assert.equal(answer.questions?.length, response['questions']);
  for (const flag of ['tc', 'rd', 'ra', 'cd', 'ad', 'aa'] as const) {
    assert.equal(answer[`flag_${flag}`], response[flag], flag);
  }
  if (response.answers_sorted !== undefined) {
    assert.deepEqual((answer.answers ?? []).map(textOf).sort(), response.answers_sorted);
  }
  const [sent] = upstream.queries;
  const [wanted] = asked;
  assert.equal(sent?.qname, wanted?.qname);
  assert.equal(sent?.proto, wanted?.proto);
  assert.equal(sent?.qtype, wanted?.qtype);
}

test('the TTL is the configured one', async (t) => {
  const rig = await ServerRig.start(t, { ttlSeconds: 30 });
  rig.names.table.merge(vectors.entries.map(fromVector));
  const { answers } = await rig.ask('one.weave.local');
  assert.equal(textOf(first(answers)), 'one.weave.local.\t30\tIN\tA\t10.32.0.1');
});

test('resolv.conf is read like the original reads it', () => {
  for (const { text, servers } of vectors.resolv_conf.slice(1, 5)) {
    assert.deepEqual(nameServersOf(text ?? ''), servers);
  }
  assert.deepEqual(nameServersOf('options trust-ad edns0\nnameserver 192.0.2.1\n'), ['192.0.2.1']);
});
