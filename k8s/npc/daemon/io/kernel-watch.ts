/**
 * Listens to the kernel's packet filter: who changes our tables, and which packets our rules log.
 * One thread of the runtime's pool waits; everything else happens in the main thread.
 */
import { WeaveError } from '../../../../core/errors.js';
import { NetfilterSocket, waitReadable } from '../../../../sys/netfilter-socket.js';
import {
  acknowledgedError,
  type LoggedPacket,
  logGroupRequest,
  parseNetfilterMessages,
} from '../netlink-messages.js';
import { PACKET_COPY_BYTES } from '../packet.js';

/** NFNLGRP_NFTABLES. */
const NFTABLES_GROUP = 7;
/** The kernel may collect packets for a tenth of a second. */
const LOG_TIMEOUT_HUNDREDTHS = 10;
/** Bounds how long a stop waits for the thread that listens. */
const POLL_MS = 1000;
/** Datagrams per wake-up, so that a flood of logged packets leaves room for everything else. */
const MAX_DATAGRAMS = 64;

export interface KernelEvents {
  /** Our own transactions do not count. */
  readonly isOurs: (port: number) => boolean;
  readonly tables: readonly string[];
  /** Somebody else changed one of our tables, or events were lost: anything may have happened. */
  readonly onTouched: () => void;
  readonly onPacket: (packet: LoggedPacket) => void;
  /** Logged packets that the kernel could not deliver, or bytes that were not understood. */
  readonly onLost: (what: 'events' | 'packets' | 'malformed') => void;
}

export class KernelWatch {
  readonly #events: KernelEvents;
  readonly #tables: NetfilterSocket;
  readonly #log: NetfilterSocket | null;
  #stopping = false;
  #ended: Promise<void> = Promise.resolve();

  private constructor(events: KernelEvents, tables: NetfilterSocket, log: NetfilterSocket | null) {
    this.#events = events;
    this.#tables = tables;
    this.#log = log;
  }

  /**
   * In the process's network namespace.
   * @param logGroup of nflog; if another program reads it, the watch goes on without packets.
   * @param onNoLog why no packets will come.
   * @throws {SysError}
   */
  static start(
    logGroup: number,
    events: KernelEvents,
    onNoLog: (error: unknown) => void,
  ): KernelWatch {
    const tables = NetfilterSocket.open([NFTABLES_GROUP]);
    let log: NetfilterSocket | null = null;
    try {
      log = openLog(logGroup);
    } catch (error) {
      onNoLog(error);
    }
    const watch = new KernelWatch(events, tables, log);
    watch.#ended = watch.#loop();
    return watch;
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#ended;
  }

  async #loop(): Promise<void> {
    const sockets = this.#log === null ? [this.#tables] : [this.#tables, this.#log];
    while (!this.#stopping) {
      await waitReadable(sockets, POLL_MS);
      if (this.#stopping) break;
      this.#drain(this.#tables, 'events');
      if (this.#log !== null) this.#drain(this.#log, 'packets');
    }
    for (const socket of sockets) socket.close();
  }

  #drain(socket: NetfilterSocket, what: 'events' | 'packets'): void {
    for (let count = 0; count < MAX_DATAGRAMS; count++) {
      const received = socket.receive();
      if (received === 'nothing') return;
      if (received === 'lost') {
        this.#events.onLost(what);
        if (what === 'events') this.#events.onTouched();
        continue;
      }
      this.#handle(received);
    }
  }

  #handle(datagram: Uint8Array): void {
    const { isOurs, tables, onTouched, onPacket, onLost } = this.#events;
    for (const message of parseNetfilterMessages(datagram)) {
      if (message.kind === 'packet') onPacket(message);
      else if (message.kind === 'malformed') onLost('malformed');
      else if (message.kind === 'change' && tables.includes(message.table)) {
        if (!isOurs(message.port)) onTouched();
      }
    }
  }
}

function openLog(group: number): NetfilterSocket {
  const socket = NetfilterSocket.open([]);
  try {
    socket.send(logGroupRequest(group, PACKET_COPY_BYTES, LOG_TIMEOUT_HUNDREDTHS));
    for (let received = socket.receive(); received instanceof Uint8Array; ) {
      const code = acknowledgedError(received);
      if (code !== 0) {
        throw new WeaveError(
          'log-group-taken',
          `log group ${group} of the packet filter can't be read (error ${code}): ` +
            'another program reads it',
        );
      }
      received = socket.receive();
    }
    return socket;
  } catch (error) {
    socket.close();
    throw error;
  }
}
