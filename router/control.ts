/**
 * Everything that the API handlers need from the router. compose.ts implements it over the mesh,
 * the data plane and the host's network; tests over plain values.
 */
import type { NameEntry } from '../dns/name-entry.js';
import type { NameFilter } from '../dns/names.js';
import type { RecordData } from '../dns/record-data.js';
import type { AttachmentView, ExposureView, Report } from './api-types.js';

export interface AttachOptions {
  readonly multicastRoute: boolean;
  /** Valid and fully qualified; those outside our domain are ignored. */
  readonly names?: readonly string[];
}

/**
 * Calls reject with `RequestError` for what the caller can mend (its status becomes the answer's)
 * and with anything else for what went wrong here (500).
 */
export interface Control {
  /** False while parts are starting: status pages answer 503 with the same body. */
  ready(): boolean;
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

  /** @param cidrs `a.b.c.d/n`. @returns the same, now present on the workload. */
  attach(
    target: string,
    cidrs: readonly string[],
    options: AttachOptions,
  ): Promise<readonly string[]>;
  /** @returns the addresses that were removed. */
  detach(target: string, cidrs: readonly string[]): Promise<readonly string[]>;
  attachments(): Promise<readonly AttachmentView[]>;

  /** Idempotent. @param cidr `a.b.c.d/n`. */
  expose(cidr: string, options: { readonly masquerade: boolean }): Promise<void>;
  /** Idempotent; an address that is not there is no error. */
  hide(cidr: string): Promise<void>;
  exposures(): Promise<readonly ExposureView[]>;

  /** Removes bridge, interfaces, rules and stored state. The caller stops the process then. */
  reset(): Promise<void>;
  /** Asks for an orderly end of the process, after the present answer is out. */
  stop(): void;
}

export interface AddNameOptions {
  /** The identifier is a container's: take its full id, and nothing if it does not run. */
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
