/**
 * What plugin and router say to each other, and the errors that runtimes read. Without libraries:
 * the plugin starts for every call. Source: CNI specification 1.1.0.
 */
export const SUPPORTED_VERSIONS = [
  ...['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'],
] as const;
/** Of a configuration that names none. */
export const DEFAULT_VERSION = '0.1.0';

/** Codes 1 to 99 are the specification's, those from 100 on our own. */
export const CniCode = {
  incompatibleVersion: 1,
  unsupportedField: 2,
  invalidEnvironment: 4,
  io: 5,
  decode: 6,
  invalidConfig: 7,
  tryAgainLater: 11,
  notAvailable: 50,
  failed: 100,
  checkFailed: 101,
} as const;

/** Ends a call: what the runtime shows to its user. */
export class CniError extends Error {
  readonly code: number;
  readonly details: string;

  constructor(code: number, message: string, details = '') {
    super(message);
    this.name = 'CniError';
    this.code = code;
    this.details = details;
  }
}

export type Plugin = 'weave-net' | 'weave-ipam';
/** One program under two names. @param path it was started by. */
export const pluginNamed = (path: string): Plugin =>
  path.endsWith('weave-ipam') ? 'weave-ipam' : 'weave-net';

export type Command = 'ADD' | 'DEL' | 'CHECK' | 'STATUS' | 'GC';

/** `POST /cni` */
export interface CniRequest {
  readonly plugin: Plugin;
  readonly command: Command;
  readonly containerId: string;
  /** Path of the namespace; empty if it is gone. */
  readonly netns: string;
  readonly ifName: string;
  /** As it came on the standard input. */
  readonly config: Readonly<Record<string, unknown>>;
  /** What another address plugin answered. */
  readonly ipamResult?: unknown;
}

/** The answer's body. */
export type CniReply =
  | { readonly result: Readonly<Record<string, unknown>> | null }
  | { readonly error: { readonly code: number; readonly msg: string; readonly details: string } };

/** Whether an address plugin named in the configuration is another program. */
export const isForeignIpam = (type: unknown): type is string =>
  typeof type === 'string' && type !== '' && type !== 'weave-ipam';

/** Identifiers of the allocator that belong to CNI start like this; the network's name follows. */
export const networkPrefix = (network: string): string => `cni:${network}:`;

/** Under which name addresses and interfaces of an attachment are filed: never two the same. */
export const attachmentIdent = (network: string, containerId: string, ifName: string): string =>
  `${networkPrefix(network)}${containerId}:${ifName}`;

/** What plugins leave for a router that is down; its own place is beside its state. */
export const DEFAULT_STATE_FOLDER = '/var/lib/weave/cni';
