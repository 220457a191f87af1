/**
 * What the planning code of this folder needs from the host: the programs `ip` and `nft`, network
 * namespaces, kernel settings and container engines. io/ implements these over real processes and
 * files; tests over plain values. Every failure is a `WeaveError` with a stable code.
 */
import type { Logger } from '../../core/log.js';
import type { PeerNetns } from './link-state.js';

/**
 * A network namespace held open, so that it can neither vanish nor be replaced by another one
 * (a reused pid) between two steps. `HOST` stands for the namespace the router itself lives in.
 */
export interface NetnsHandle {
  /** A path that `ip` and setns understand while the handle is open; null for the router's own. */
  readonly path: string | null;
  /** Number of the namespace: unique among the living ones, 32 bits. */
  readonly inode: number;
  /** Idempotent. */
  close(): void;
}

export interface IpTool {
  /** Runs `ip -json -details ARGS` and returns the parsed list. */
  query(netns: NetnsHandle, args: readonly string[]): Promise<readonly unknown[]>;
  /**
   * Runs commands (each without the leading `ip`) one after the other and stops at the first that
   * fails; those before it stay done.
   * @throws {WeaveError} `ip-failed`; its message holds the failing command and the tool's text.
   */
  batch(netns: NetnsHandle, commands: readonly string[]): Promise<void>;
}

export interface ChainName {
  readonly family: string;
  readonly table: string;
  readonly name: string;
}

export interface NftTool {
  /** Applies a script, all of it or nothing. @throws {WeaveError} `nft-failed` */
  apply(netns: NetnsHandle, script: string): Promise<void>;
  /** Objects of one table of family ip, or null if there is no such table. */
  listTable(netns: NetnsHandle, table: string): Promise<readonly unknown[] | null>;
  /** Every chain of the namespace, all families, without rules. */
  listChains(netns: NetnsHandle): Promise<readonly unknown[]>;
  /** One chain with its rules. @throws {WeaveError} `nft-failed`, also if it is gone. */
  listChain(netns: NetnsHandle, chain: ChainName): Promise<readonly unknown[]>;
}

export interface NetnsTool {
  /** The namespace of the router, or the one that tests put in its place. */
  readonly host: NetnsHandle;
  /** @throws {WeaveError} `netns-not-found`, `netns-invalid` */
  open(path: string): NetnsHandle;
  /** Path of a namespace made by `ip netns add`, or null. */
  findNamed(name: string): string | null;
  /** Path of the namespace of a process, or null if there is no such process. */
  findProcess(pid: number): string | null;
  /** Name of a namespace made by `ip netns add`, or null. */
  nameOf(inode: number): string | null;
  /** Full id of the container that a process belongs to, or null. */
  containerOf(pid: number): string | null;
  /**
   * Whether `denoted`, as the ip tool printed it on the host, is this very namespace. Interface
   * indexes repeat in every namespace and cannot tell.
   */
  isSame(denoted: PeerNetns, netns: NetnsHandle): boolean;
  /** All namespaces that have a name or a process, each once. */
  list(): readonly KnownNetns[];
  /**
   * Sends a gratuitous ARP for the addresses of an interface that is up and has the settings of
   * `neighbourSettings`, once its port forwards.
   */
  announce(netns: NetnsHandle, interfaceName: string): Promise<void>;
  /** Whether some process captures packets on this very interface. */
  isCaptured(netns: NetnsHandle, interfaceIndex: number): boolean;
  /** Whether the table `filter` of iptables-legacy exists there; false where that can't be told. */
  hasLegacyFilter(netns: NetnsHandle): boolean;
}

export interface KnownNetns {
  /** How a user would call it. */
  readonly target: string;
  readonly path: string;
  readonly inode: number;
}

export interface SysctlTool {
  /** @param key path below `sys`, e.g. `net/ipv4/ip_forward`. @returns trimmed; null: absent. */
  read(netns: NetnsHandle, key: string): string | null;
  /** @returns false if the kernel has no such setting. @throws {WeaveError} `sysctl-failed` */
  write(netns: NetnsHandle, key: string, value: string): boolean;
  /** Several of them, entering the namespace once. @throws {WeaveError} `sysctl-failed` */
  writeAll(netns: NetnsHandle, settings: readonly (readonly [key: string, value: string])[]): void;
}

export interface RunningContainer {
  /** Full id. */
  readonly id: string;
  /** Main process. */
  readonly pid: number;
}

export interface ContainerEngines {
  /**
   * @param id name or (shortened) id. @returns null if no engine knows it.
   * @throws {WeaveError} `container-not-running`, `container-engine-failed`
   */
  find(id: string): Promise<RunningContainer | null>;
  /** @returns names of running containers by full id; those of engines that fail are missing. */
  names(): Promise<ReadonlyMap<string, string>>;
  /** Sentence fragment that says what was asked, for the error when nobody knows the id. */
  readonly description: string;
}

/** Everything above together, as io/modules.ts makes it. */
export interface HostModules {
  readonly ip: IpTool;
  readonly nft: NftTool;
  readonly netns: NetnsTool;
  readonly sysctl: SysctlTool;
  readonly engines: ContainerEngines;
  readonly log: Logger;
}
