/** The API's view of a name service that has a table and nothing else: no server, no engines. */
import { parsePeerName } from '../../core/peer-name.js';
import { type NameFilter, Names } from '../../dns/names.js';
import type { RecordData } from '../../dns/record-data.js';
import type { ReportDns } from '../../router/api-types.js';
import type { AddNameOptions, NamesControl } from '../../router/control.js';
import { buildDnsReport } from '../../router/report-dns.js';

const NOW_S = 1_795_380_805;

export class FakeNames implements NamesControl {
  readonly names = new Names(
    { localPeer: parsePeerName('82:00:00:00:00:01'), domain: 'weave.local.' },
    {
      clock: { nowMs: () => 0, wallMs: () => NOW_S * 1000 },
      isKnownPeer: () => true,
      warn: () => {},
    },
  );
  readonly domain = 'weave.local.';
  /** Asked for with check-alive. */
  readonly checked: string[] = [];

  address(): string {
    return '127.0.0.1';
  }

  addressAndPort(): string {
    return '127.0.0.1:5353';
  }

  async add(
    containerId: string,
    record: RecordData,
    name: string | null,
    { checkAlive }: AddNameOptions,
  ): Promise<void> {
    if (checkAlive) this.checked.push(containerId);
    const hostname = name ?? (checkAlive ? `${containerId}.${this.domain}` : null);
    if (hostname === null || !this.names.isLocal(hostname)) return;
    this.names.register(hostname, containerId, record);
  }

  async remove(filter: NameFilter): Promise<void> {
    this.names.remove(filter);
  }

  list() {
    return [...this.names.table.all()];
  }

  report(): ReportDns {
    const counts = {
      queries: [],
      drops: {} as never,
      upstreamFailures: {} as never,
      durationCounts: [],
      durationSumS: 0,
      forwarded: 0,
    };
    return buildDnsReport({
      domain: this.domain,
      ttlSeconds: 1,
      address: this.addressAndPort(),
      entries: this.list(),
      tombstones: 0,
      counters: {},
      server: { upstreams: [], addresses: [], failures: [], loops: [], counts },
    });
  }

  /** `name data container`, sorted. */
  live(): string[] {
    return this.names
      .own()
      .map(({ hostname, data, containerId }) => `${hostname} ${data} ${containerId}`)
      .sort();
  }
}
