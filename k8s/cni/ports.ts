/** What the verbs need from the router; tests give plain values. */
import type { Cidr } from '../../core/ip.js';
import type { ResultInterface } from './result.js';

export interface PodRoute {
  readonly destination: Cidr;
  /** null: directly on the interface. */
  readonly gateway: number | null;
}

export interface PodPlan {
  /** Filed under this on the host's end. */
  readonly ident: string;
  readonly netns: string;
  readonly ifName: string;
  readonly address: Cidr;
  readonly routes: readonly PodRoute[];
  /** null: the bridge's. */
  readonly mtu: number | null;
  readonly hairpin: boolean;
}

/** Interfaces of pods, on this host's bridge. */
export interface PodNetwork {
  readonly bridge: string;
  /** Addresses of the bridge. @throws when there is no bridge. */
  bridgeAddresses(): readonly Cidr[];
  /**
   * Makes the pair, or completes the one that an earlier call of the same `ident` made. A failure
   * leaves no interface that was not there before.
   * @throws {CniError}
   */
  attach(plan: PodPlan): Promise<readonly ResultInterface[]>;
  /** @returns IPv4 addresses of the pod's interface, null if it is not there or not on the bridge. */
  addresses(ident: string, netns: string, ifName: string): readonly string[] | null;
  /** Idempotent; gone when it resolves. Another program's interface of that name stays. */
  detach(ident: string, netns: string, ifName: string): Promise<void>;
  /** Of all attachments whose namespaces live: identifiers with a prefix. */
  idents(prefix: string): readonly string[];
  /** Takes the interface away by its host end. Idempotent; gone when it resolves. */
  remove(ident: string): Promise<void>;
}

/** The allocator. */
export interface PodAddresses {
  /** @param subnet null: the default one. Waits until there is one or the signal ends. */
  allocate(
    ident: string,
    subnet: Cidr | null,
    signal: AbortSignal,
  ): Promise<{ readonly cidr: Cidr; readonly fresh: boolean }>;
  held(ident: string): readonly Cidr[];
  /** Idempotent; stored when it resolves. */
  release(ident: string): Promise<void>;
  idents(prefix: string): readonly string[];
}
