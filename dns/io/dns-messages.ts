/** What the router and the name server's thread say to each other. */
import type { Cidr } from '../../core/ip.js';
import type { LogFields, LogLevel } from '../../core/log.js';
import type { TableChange } from '../name-table.js';
import type { DnsServerOptions, DnsServerStatus } from './dns-server.js';

/** What the thread starts with; the table follows by message. */
export interface DnsThreadStart {
  readonly options: DnsServerOptions;
  readonly networks: readonly Cidr[];
}

export type ToDnsThread =
  | { readonly type: 'table'; readonly changes: readonly TableChange[] }
  /** Overlay networks. To be followed at once, and answered with `refreshed`. */
  | { readonly type: 'refresh'; readonly networks: readonly Cidr[]; readonly id: number }
  | { readonly type: 'close' };

export type FromDnsThread =
  | { readonly type: 'started'; readonly status: DnsServerStatus }
  | { readonly type: 'start-failed'; readonly code: string; readonly text: string }
  | { readonly type: 'status'; readonly status: DnsServerStatus }
  | { readonly type: 'refreshed'; readonly id: number }
  | {
      readonly type: 'log';
      readonly level: LogLevel;
      readonly text: string;
      readonly fields: LogFields;
    };
