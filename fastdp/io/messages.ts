/**
 * What crosses between the main thread and the data plane's thread. Commands go in by a message
 * port, with an eventfd to end the wait in poll; reports come back by the same port. Everything
 * can be structured-cloned.
 */
import type { LogFields, LogLevel } from '../../core/log.js';
import type { PeerName } from '../../core/peer-name.js';
import type { ForwardingTables, OverlayEvent, OverlayPeering } from '../../mesh/overlay.js';
import type { OpenPair } from '../../sys/udp.js';
import type { KeyLimits } from '../key-schedule.js';
import type { DataPlaneStatus } from '../status.js';
import type { OffloadState, OffloadSwitches } from './offloads.js';

export interface SleeveOptions {
  readonly localPeer: PeerName;
  /** UDP port, the same as the TCP port of the mesh. */
  readonly port: number;
  /** Address to bind, unsigned 32-bit; 0 (default) is all. */
  readonly address?: number;
  /** Name of the TAP device. */
  readonly tapName: string;
  /** The device stays when the process ends. */
  readonly persistTap?: boolean;
  /** Network namespace of device and sockets, as a path; our own unless given. */
  readonly netnsPath?: string;
  /** See DataPlaneOptions. */
  readonly strictSource?: boolean;
  readonly keyLimits?: KeyLimits;
  /** Kernel buffer per socket and direction. */
  readonly socketBufferBytes?: number;
  /** Look for packets a moment before going to sleep, while they come fast; true unless given. */
  readonly busyPoll?: boolean;
  /** What the kernel is not to be asked for; nothing is left out unless given. */
  readonly offloads?: OffloadSwitches;
  /** Threads of the data plane, 1 to MAX_QUEUES; 1 unless given. */
  readonly queues?: number;
}

/** Each takes a processor under load. */
export const MAX_QUEUES = 8;

export type Command =
  | {
      readonly type: 'prepare';
      readonly peering: OverlayPeering;
      /** What several threads share about it; null with one. */
      readonly board: SharedArrayBuffer | null;
    }
  | { readonly type: 'confirm'; readonly connId: number }
  | {
      readonly type: 'control';
      readonly connId: number;
      readonly subTag: number;
      readonly data: Uint8Array;
    }
  | { readonly type: 'stop'; readonly connId: number }
  | { readonly type: 'forwarding'; readonly tables: ForwardingTables }
  | { readonly type: 'forget-peer'; readonly peer: PeerName }
  | { readonly type: 'status'; readonly requestId: number }
  | { readonly type: 'close' };

/** What the loop counts beside the data plane's own counters. Never decreasing. */
export interface IoCounters {
  /** Rounds of the loop. */
  readonly rounds: number;
  /** Waits that found something without going to sleep. */
  readonly busyWaits: number;
  readonly tapReads: number;
  readonly tapWrites: number;
  /** Calls of io_uring that wrote several frames each. */
  readonly tapWriteBatches: number;
  /** Frames lost because the device was down, gone or out of memory. */
  readonly tapWriteFailures: number;
  /** Captured frames that contradict the device's own description of them. */
  readonly tapMalformed: number;
  readonly tapReopens: number;
  /** Datagrams queued for sending, and messages of one or more of them given to the kernel. */
  readonly datagramsSent: number;
  readonly messagesSent: number;
  readonly sendFailures: number;
  /** Messages of several datagrams that the kernel refused though each of them went out singly. */
  readonly groupRefusals: number;
  readonly datagramsReceived: number;
  readonly receiveFailures: number;
  /** Exceptions that the loop survived. */
  readonly loopErrors: number;
}

/** Frames from and to the bridge by one thread. */
export interface QueueCounters {
  readonly framesCaptured: number;
  readonly framesInjected: number;
}

export interface SleeveStatus extends DataPlaneStatus {
  /** One for each thread, the primary first: how the flows are spread. */
  readonly queues: readonly QueueCounters[];
  readonly io: IoCounters;
  /** Which library seals, e.g. `libsodium.so.23`. */
  readonly cryptoLibrary: string;
  readonly tapName: string;
  readonly offloads: readonly OffloadState[];
}

/** A change in the health of device or loop, for the owner to act upon. Rare. */
export type DeviceEvent =
  /** The TAP device is gone; it is made anew every second until that works. */
  | { readonly type: 'tap-lost'; readonly code: string }
  /** A new TAP device stands in for a lost one: it has to be put on the bridge again. */
  | { readonly type: 'tap-opened'; readonly name: string }
  /** The device does not take frames because it is set down; `tap-up` when it does again. */
  | { readonly type: 'tap-down' }
  | { readonly type: 'tap-up' }
  /** The thread ended without being told to. Nothing is forwarded any more. */
  | { readonly type: 'loop-ended'; readonly text: string };

export type Report =
  | {
      readonly type: 'ready';
      readonly tapName: string;
      readonly port: number;
      readonly cryptoLibrary: string;
      /** The sockets of the other threads, which are to be started now; empty with one thread. */
      readonly sockets: readonly OpenPair[];
      readonly offloads: readonly OffloadState[];
    }
  | { readonly type: 'start-failed'; readonly code: string; readonly text: string }
  | { readonly type: 'event'; readonly event: OverlayEvent }
  | { readonly type: 'device'; readonly event: DeviceEvent }
  | { readonly type: 'status'; readonly requestId: number; readonly status: SleeveStatus }
  | {
      readonly type: 'log';
      readonly level: LogLevel;
      readonly text: string;
      readonly fields: LogFields;
    };
