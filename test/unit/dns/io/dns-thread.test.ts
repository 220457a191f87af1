/** The name server in a thread of its own: fed, asked, replaced. */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { describe, it } from 'node:test';
import type { Worker } from 'node:worker_threads';
import { decode, encode } from 'dns-packet';
import { systemClock } from '../../../../core/clock.js';
import type { Logger } from '../../../../core/log.js';
import type { PeerName } from '../../../../core/peer-name.js';
import { DnsThread, openDnsWorker } from '../../../../dns/io/dns-thread.js';
import { NameTable } from '../../../../dns/name-table.js';
import { systemRandom } from '../../../../sys/random.js';
import { waitFor } from '../../../support/wait.js';

/** Away from what other tests use, and from 53. */
const PORT = 20_053 + (process.pid % 20_000);
const origin = 7 as unknown as PeerName;

interface Setting {
  readonly host?: string;
  readonly open?: typeof openDnsWorker;
}

function makeThread(table: NameTable, logged: string[], setting: Setting = {}): DnsThread {
  const note = (text: string): void => {
    logged.push(text);
  };
  const log: Logger = { error: note, warn: note, info: note, debug: () => {} };
  return new DnsThread(
    {
      domain: 'weave.local.',
      listen: { host: setting.host ?? '127.0.0.1', port: PORT },
      ttlSeconds: 1,
      upstreamTimeoutMs: 1000,
      resolvConfPath: null,
      allowed: [],
    },
    { table, overlayNetworks: () => [], clock: systemClock, random: systemRandom, log },
    setting.open,
  );
}

const record = (name: string, data: string, version = 0, tombstone = 0) =>
  ({
    hostname: `${name}.weave.local.`,
    origin,
    containerId: 'c',
    type: 'A',
    data,
    version,
    tombstone,
  }) as const;

/** @returns the addresses; null if nobody answers. */
function ask(name: string): Promise<string[] | null> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4');
    const finish = (answer: string[] | null): void => {
      clearTimeout(timer);
      socket.close();
      resolve(answer);
    };
    const timer = setTimeout(() => finish(null), 2000);
    socket.on('error', () => finish(null));
    socket.on('message', (answer) =>
      finish((decode(answer).answers ?? []).map((one) => String((one as { data: unknown }).data))),
    );
    const questions = [{ type: 'A' as const, name: `${name}.weave.local` }];
    socket.send(encode({ type: 'query', id: 1, questions }), PORT, '127.0.0.1');
  });
}

const answers = (name: string, wanted: string[]) => async (): Promise<boolean> =>
  (await ask(name))?.join() === wanted.join();

describe('the thread of the name server', () => {
  it('knows the table as it was and each change', async (t) => {
    const table = new NameTable();
    table.merge([record('early', '10.0.0.1')]);
    const thread = makeThread(table, []);
    t.after(() => thread.close());
    await thread.start();
    assert.deepEqual(thread.status().addresses, ['127.0.0.1']);
    await waitFor('what was there before', 20_000, answers('early', ['10.0.0.1']));
    table.merge([record('late', '10.0.0.2')]);
    await waitFor('what came later', 20_000, answers('late', ['10.0.0.2']));
    table.merge([record('late', '10.0.0.2', 1, 1000)]);
    await waitFor('what went', 20_000, answers('late', []));
    table.dropPeer(origin);
    await waitFor('what went with its peer', 20_000, answers('early', []));
    // By type and answer: two were found and two were not, if nothing had to be asked twice.
    await waitFor('counts', 20_000, () => {
      const asked = thread.status().counts.queries.filter(({ type }) => type === 'A');
      return asked.reduce((sum, { count }) => sum + count, 0) >= 4;
    });
    await thread.refresh();
  });

  it('tells why it can not listen', async (t) => {
    const thread = makeThread(new NameTable(), [], { host: '192.0.2.77' });
    t.after(() => thread.close());
    await assert.rejects(thread.start(), { code: 'dns-listen-failed' });
  });

  it('is replaced when it ends, and the table goes with it', async (t) => {
    const table = new NameTable();
    const logged: string[] = [];
    const workers: Worker[] = [];
    const open: typeof openDnsWorker = (start) => {
      const worker = openDnsWorker(start);
      workers.push(worker);
      return worker;
    };
    const thread = makeThread(table, logged, { open });
    t.after(() => thread.close());
    await thread.start();
    table.merge([record('one', '10.0.0.1')]);
    await waitFor('an answer', 20_000, answers('one', ['10.0.0.1']));
    for (let ends = 1; ends <= 4; ends++) {
      // As a fault in it would.
      await workers.at(-1)?.terminate();
      await waitFor('an answer of the next', 30_000, answers('one', ['10.0.0.1']));
    }
    assert.equal(logged.filter((text) => text.includes('is replaced')).length, 3);
    assert.equal(logged.filter((text) => text.includes('without one')).length, 1);
    await waitFor('status of the last', 20_000, () => thread.status().addresses.length === 1);
  });
});
