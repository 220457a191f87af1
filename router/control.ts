/**
 * Everything that the API handlers need from the router. compose.ts implements it over the mesh,
 * the data plane and the host's network; tests over plain values.
 */
import type { Cidr, Ipv4 } from '../core/ip.js';
import type { NameEntry } from '../dns/name-entry.js';
import type { NameFilter } from '../dns/names.js';
import type { RecordData } from '../dns/record-data.js';
import type { OwnedAddresses } from '../ipam/interfaces.js';
import type { CniReply, CniRequest } from '../k8s/cni/protocol.js';
import type { AttachmentView, ExposureView, Report } from './api-types.js';
import type { Health } from './readiness.js';

export interface AttachOptions {
  readonly multicastRoute: boolean;
  /** Valid and fully qualified; those outside our domain are ignored. */
  readonly names?: readonly string[];
}

/** Who asked may go away: what waits is cancelled then. */
export interface CallOptions {
  readonly signal?: AbortSignal;
}

/**
 * Calls reject with `RequestError` for what the caller can mend (its status becomes the answer's)
 * and with anything else for what went wrong here (500).
 */
export interface Control {
  /** False while parts are starting: status pages answer 503 with the same body. */
  ready(): boolean;
  /** What `/readyz` and `/livez` answer. */
  readonly health: { ready(): Promise<Health>; live(): Health };
  report(): Promise<Report>;
  /** Prometheus text format 0.0.4. */
  metrics(): Promise<string>;

  /**
   * Adds targets, all that can be understood and resolved.
   * @param peers each `host[:port]`.
   * @param replace forget all former targets, also if `peers` is empty.
   * @returns one line for each bad entry; the others were added all the same.
   */
  connect(peers: readonly string[], replace: boolean): Promise<readonly string[]>;
  /** @param peers the literal texts given at connect; unknown ones are ignored. */
  forget(peers: readonly string[]): Promise<void>;

  /** null: the name service is off, and its routes do not exist. */
  readonly names: NamesControl | null;

  /** null: the allocator is off, and its routes do not exist. */
  readonly ipam: IpamControl | null;

  /** The verbs of the CNI plugin. */
  readonly cni: CniControl;

  /**
   * @param addresses as in `AttachRequest`; may wait for the allocator.
   * @returns `a.b.c.d/n` each, now present on the workload.
   */
  attach(
    target: string,
    addresses: readonly string[],
    options: AttachOptions & CallOptions,
  ): Promise<readonly string[]>;
  /** @returns the addresses that were removed. */
  detach(target: string, addresses: readonly string[]): Promise<readonly string[]>;
  attachments(): Promise<readonly AttachmentView[]>;

  /** Idempotent. @param addresses as in `ExposeRequest`. @returns `a.b.c.d/n` each. */
  expose(
    addresses: readonly string[],
    options: { readonly masquerade: boolean } & CallOptions,
  ): Promise<readonly string[]>;
  /** Idempotent; an address that is not there is no error. @returns what is gone. */
  hide(addresses: readonly string[]): Promise<readonly string[]>;
  exposures(): Promise<readonly ExposureView[]>;

  /** Removes bridge, interfaces, rules and stored state. The caller stops the process then. */
  reset(): Promise<void>;
  /** Asks for an orderly end of the process, after the present answer is out. */
  stop(): void;
  /** The same, for a router that starts beside this one and takes its place. */
  handOver(): void;
}

export interface AddNameOptions {
  /** The identifier is a container's: take its full id, and nothing if it does not run. */
  readonly checkAlive: boolean;
}

export interface IpamCall extends CallOptions {
  /** The identifier is a workload whose end we are told of. */
  readonly checkAlive: boolean;
}

/** Calls reject with `RequestError` for what the caller can mend, like those of `Control`. */
export interface NamesControl {
  /** With final dot. */
  readonly domain: string;
  /** Where workloads are to ask. */
  address(): string;
  addressAndPort(): string;
  /**
   * @param name fully qualified; outside our domain it is ignored. null: the name that the
   *   container has by itself.
   */
  add(
    containerId: string,
    record: RecordData,
    name: string | null,
    options: AddNameOptions,
  ): Promise<void>;
  /** Idempotent. */
  remove(filter: NameFilter): Promise<void>;
  /** Of all peers, tombstones included. */
  list(): readonly NameEntry[];
}

/** Calls reject with `RequestError` for what the caller can mend, like those of `Control`. */
export interface IpamControl {
  readonly defaultSubnet: Cidr;
  /** What follows the ring: `no-masq-local`, or nothing. */
  readonly tracker: string;
  /** @param subnet null: the default. @returns the address with the prefix of the subnet. */
  allocate(ident: string, subnet: Cidr | null, call: IpamCall): Promise<Cidr>;
  /** @param optimistic success before it is known who owns the address. */
  claim(ident: string, cidr: Cidr, optimistic: boolean, call: IpamCall): Promise<void>;
  lookup(ident: string, subnet: Cidr | null): readonly Cidr[];
  list(): readonly OwnedAddresses[];
  free(ident: string, address: Ipv4): Promise<void>;
  freeAll(ident: string): Promise<void>;
  /** Waits until addresses can be given. */
  prime(options: CallOptions): Promise<void>;
  /** @returns how many addresses passed to us. */
  takeOver(peer: string, force: boolean): Promise<number>;
  /** Hands all ranges to another peer. */
  leave(): Promise<void>;
  /** What waits or is wrong, why, and what would resolve it: one sentence each. */
  check(): readonly string[];
}

export interface CniControl {
  /** Never rejects: what went wrong is in the reply. */
  run(request: CniRequest, signal: AbortSignal): Promise<CniReply>;
}
