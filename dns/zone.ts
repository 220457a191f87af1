/**
 * What we say about a name: answered from the table, or somebody else's business. Our domain and
 * the reverse names of the overlay are ours; names that do not exist (NXDOMAIN) and names without
 * records of the type asked for (NODATA) are told apart.
 * Source: reference/weavedns.md 7, 8, 13; RFC 1034 4.3, RFC 2308, RFC 8020, RFC 8482.
 */
import type { Answer } from 'dns-packet';
import { type Cidr, cidrContains, type Ipv4 } from '../core/ip.js';
import { isSingleLabel, isWithin, ROOT } from './domain-name.js';
import { type NameEntry, orderInLists } from './name-entry.js';
import type { NameTable } from './name-table.js';
import { parseSrv, RECORD_TYPES, type RecordType } from './record-data.js';

/** A record without owner: where it stands decides whose it is. */
export type ZoneRecord = Omit<Extract<Answer, { data: unknown }>, 'name'> & {
  /** null: the name that was asked for, as it was spelt. */
  readonly owner: string | null;
};

export interface ZoneAnswer {
  readonly kind: 'answer';
  readonly rcode: 'NOERROR' | 'NXDOMAIN';
  readonly authoritative: boolean;
  /** Aliases on the way to the records, in order. */
  readonly chain: readonly ZoneRecord[];
  /** Equals, to be given in random order. */
  readonly records: readonly ZoneRecord[];
  readonly authorities: readonly ZoneRecord[];
  readonly additionals: readonly ZoneRecord[];
}

export type ZoneResult = ZoneAnswer | { readonly kind: 'forward' };

export interface ZoneOptions {
  /** Canonical. */
  readonly domain: string;
  /** Of all records, and how long others may remember that something does not exist. */
  readonly ttlSeconds: number;
}

export interface ZoneModules {
  readonly table: NameTable;
  /** IPv4 networks whose reverse names nobody else knows. */
  readonly overlayNetworks: () => readonly Cidr[];
}

const FORWARD: ZoneResult = { kind: 'forward' };
/** Aliases of aliases; a longer chain is a circle or a mistake. */
const MAX_CHAIN = 8;
/** About a delegation rather than a host: a single label is a top-level domain here. */
const DELEGATION_TYPES: ReadonlySet<string> = new Set(['NS', 'SOA', 'DNSKEY']);
const SOA_TIMERS = { refresh: 3600, retry: 600, expire: 86_400 };
const REVERSE_IPV4 = 'in-addr.arpa.';
const REVERSE_IPV6 = 'ip6.arpa.';

export class Zone {
  readonly #options: ZoneOptions;
  readonly #modules: ZoneModules;

  constructor(options: ZoneOptions, modules: ZoneModules) {
    this.#options = options;
    this.#modules = modules;
  }

  /** @param name canonical. @param type as the codec spells it, e.g. `A`, `UNKNOWN_65` */
  resolve(name: string, type: string): ZoneResult {
    // A delegation is signed by who delegates, so these are the parent's.
    if (type === 'DS' || name === ROOT) return FORWARD;
    if (isWithin(name, this.#options.domain)) return this.#resolveLocal(name, type);
    if (isSingleLabel(name)) return this.#resolveShort(name, type);
    if (isWithin(name, REVERSE_IPV4) || isWithin(name, REVERSE_IPV6)) {
      return this.#resolveReverse(name, type);
    }
    return FORWARD;
  }

  #resolveLocal(name: string, type: string): ZoneAnswer {
    const { domain } = this.#options;
    const isApex = name === domain;
    const entries = [...this.#modules.table.lookUp(name)];
    if (entries.length === 0 && !isApex && !this.#modules.table.hasNamesBelow(name)) {
      return this.#negative('NXDOMAIN', domain);
    }
    if (isApex && type === 'SOA') return this.#positive([this.#soa(null)]);
    const chain: ZoneRecord[] = [];
    const end = type === 'CNAME' ? entries : this.#follow(entries, chain);
    const owner = chain.length === 0 ? null : (chain.at(-1)?.data as string);
    const records = this.#recordsOf(end, type, owner);
    if (records.length === 0) return { ...this.#negative('NOERROR', domain), chain };
    return { ...this.#positive(records), chain, additionals: this.#targetsOf(records) };
  }

  /** A single label is completed with our domain; the answer keeps the short name. */
  #resolveShort(name: string, type: string): ZoneResult {
    const answer = this.#resolveLocal(`${name}${this.#options.domain}`, type);
    if (answer.rcode === 'NOERROR') return { ...answer, authorities: [] };
    if (DELEGATION_TYPES.has(type)) return FORWARD;
    // Without authority over the root there is nothing to say about how long this is so.
    return { ...answer, authoritative: false, authorities: [] };
  }

  #resolveReverse(name: string, type: string): ZoneResult {
    const [first] = [...this.#modules.table.lookUpReverse(name)].sort(orderInLists);
    const zone = this.#reverseZone(name);
    if (first !== undefined) {
      const record = { owner: null, type: 'PTR', data: first.hostname, ...this.#common() };
      if (type === 'PTR' || type === 'ANY') return this.#positive([record as ZoneRecord]);
      return this.#negative('NOERROR', zone?.owner ?? name);
    }
    if (zone === null) return FORWARD;
    return this.#negative(zone.isNode ? 'NOERROR' : 'NXDOMAIN', zone.owner);
  }

  /**
   * Whether a reverse name lies within an overlay network; `owner` is the shortest name that still
   * does, since networks need not end at an octet.
   */
  #reverseZone(name: string): { readonly owner: string; readonly isNode: boolean } | null {
    if (!isWithin(name, REVERSE_IPV4) || name === REVERSE_IPV4) return null;
    const labels = name
      .slice(0, -REVERSE_IPV4.length - 1)
      .split('.')
      .reverse();
    const bad = labels.findIndex((label) => !/^(0|[1-9]\d{0,2})$/.test(label) || +label > 255);
    const octets = labels.slice(0, bad < 0 ? 4 : Math.min(bad, 4)).map(Number);
    const address = [0, 1, 2, 3].reduce((sum, i) => sum * 256 + (octets[i] ?? 0), 0) as Ipv4;
    const network = this.#modules
      .overlayNetworks()
      .find((one) => one.prefixLength <= 8 * octets.length && cidrContains(one, address));
    if (network === undefined) return null;
    const count = Math.max(1, Math.ceil(network.prefixLength / 8));
    const owner = `${octets.slice(0, count).reverse().join('.')}.${REVERSE_IPV4}`;
    return { owner, isNode: bad < 0 && labels.length < 4 };
  }

  /** Goes along aliases that stand alone; beside other records an alias does not count. */
  #follow(entries: readonly NameEntry[], chain: ZoneRecord[]): readonly NameEntry[] {
    let at = entries;
    let owner: string | null = null;
    for (let step = 0; step < MAX_CHAIN; step++) {
      const alias = at.find(({ type }) => type === 'CNAME');
      if (alias === undefined || at.some(({ type }) => type !== 'CNAME')) return at;
      chain.push({ owner, type: 'CNAME', data: alias.data, ...this.#common() } as ZoneRecord);
      owner = alias.data;
      at = [...this.#modules.table.lookUp(alias.data.toLowerCase())];
    }
    return [];
  }

  /** Each datum once, whoever registered it. ANY gets the records of one type. */
  #recordsOf(entries: readonly NameEntry[], asked: string, owner: string | null): ZoneRecord[] {
    const wanted =
      asked === 'ANY'
        ? RECORD_TYPES.find((type) => entries.some((entry) => entry.type === type))
        : asked;
    const data = new Set(entries.filter(({ type }) => type === wanted).map((entry) => entry.data));
    return [...data].map(
      (text) =>
        ({
          owner,
          type: wanted,
          data: wanted === 'SRV' ? parseSrv(text) : text,
          ...this.#common(),
        }) as ZoneRecord,
    );
  }

  /** Addresses of the targets of services, so that the client need not ask again. */
  #targetsOf(records: readonly ZoneRecord[]): ZoneRecord[] {
    const targets = records.flatMap((record) =>
      record.type === 'SRV' ? [(record.data as { target: string }).target] : [],
    );
    const addressTypes: readonly RecordType[] = ['A', 'AAAA'];
    return [...new Set(targets)].flatMap((target) => {
      const entries = [...this.#modules.table.lookUp(target.toLowerCase())];
      return addressTypes.flatMap((type) => this.#recordsOf(entries, type, target));
    });
  }

  #positive(records: readonly ZoneRecord[]): ZoneAnswer {
    return {
      kind: 'answer',
      rcode: 'NOERROR',
      authoritative: true,
      chain: [],
      records,
      authorities: [],
      additionals: [],
    };
  }

  #negative(rcode: ZoneAnswer['rcode'], owner: string): ZoneAnswer {
    return { ...this.#positive([]), rcode, authorities: [this.#soa(owner)] };
  }

  #soa(owner: string | null): ZoneRecord {
    const { domain, ttlSeconds } = this.#options;
    const below = (label: string): string => (domain === ROOT ? `${label}.` : `${label}.${domain}`);
    const data = {
      mname: owner === null || isWithin(owner, domain) ? below('ns') : owner,
      rname: below('hostmaster'),
      serial: this.#modules.table.revision >>> 0,
      ...SOA_TIMERS,
      minimum: ttlSeconds,
    };
    return { owner, type: 'SOA', data, ...this.#common() } as ZoneRecord;
  }

  #common(): { readonly class: 'IN'; readonly ttl: number } {
    return { class: 'IN', ttl: this.#options.ttlSeconds };
  }
}
