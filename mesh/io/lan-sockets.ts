/**
 * Announcements on the local networks of this host: UDP multicast that no router forwards, one
 * socket for each address, as the kernel chooses the way out by it.
 */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { networkInterfaces } from 'node:os';
import { errorCode, errorText, WeaveError } from '../../core/errors.js';
import type { Logger } from '../../core/log.js';

/** Organization-local (RFC 2365); the time to live of 1 keeps it on the link. */
export const LAN_GROUP = '239.192.67.83';
export const LAN_PORT = 6785;

export interface LanSocketsModules {
  readonly onDatagram: (bytes: Uint8Array, source: string) => void;
  /** Interfaces that are not to be used: the overlay's own. */
  readonly isExcluded: (interfaceName: string) => boolean;
  readonly log: Logger;
}

export class LanSockets {
  readonly #modules: LanSocketsModules;
  #receiver: Socket | null = null;
  /** By our address. BOUNDED by the addresses of this host. */
  readonly #senders = new Map<string, Socket>();

  constructor(modules: LanSocketsModules) {
    this.#modules = modules;
  }

  /** @throws {WeaveError} `lan-listen-failed` */
  async open(): Promise<void> {
    const receiver = createSocket({ type: 'udp4', reuseAddr: true });
    await new Promise<void>((resolve, reject) => {
      receiver.once('error', (error) => {
        const text = `UDP port ${LAN_PORT} for discovery: ${errorText(error)}`;
        reject(new WeaveError('lan-listen-failed', text));
      });
      receiver.bind(LAN_PORT, LAN_GROUP, resolve);
    });
    receiver.on('error', (error) => this.#note('the socket for discovery failed', error));
    receiver.on('message', (bytes: Buffer, { address }: RemoteInfo) =>
      this.#modules.onDatagram(bytes, address),
    );
    this.#receiver = receiver;
    this.#follow();
  }

  /** To all local networks that there are now. */
  send(bytes: Uint8Array): void {
    this.#follow();
    for (const [address, sender] of this.#senders) {
      sender.send(bytes, LAN_PORT, LAN_GROUP, (error) => {
        if (error !== null) this.#note(`no announcement from ${address}`, error);
      });
    }
  }

  close(): void {
    this.#receiver?.close();
    this.#receiver = null;
    for (const sender of this.#senders.values()) sender.close();
    this.#senders.clear();
  }

  /** Addresses come and go. */
  #follow(): void {
    const addresses = this.#localAddresses();
    for (const [address, sender] of this.#senders) {
      if (addresses.has(address)) continue;
      sender.close();
      this.#senders.delete(address);
    }
    for (const address of addresses) if (!this.#senders.has(address)) this.#add(address);
  }

  #add(address: string): void {
    try {
      this.#receiver?.addMembership(LAN_GROUP, address);
    } catch (error) {
      // Of two addresses of one interface the first has joined for both.
      if (errorCode(error) !== 'EADDRINUSE') this.#note(`no discovery at ${address}`, error);
    }
    const sender = createSocket('udp4');
    sender.on('error', (error) => this.#note(`no announcement from ${address}`, error));
    sender.bind(0, address, () => {
      try {
        sender.setMulticastInterface(address);
        sender.setMulticastTTL(1);
      } catch (error) {
        this.#note(`no announcement from ${address}`, error);
      }
    });
    sender.unref();
    this.#senders.set(address, sender);
  }

  #localAddresses(): ReadonlySet<string> {
    const found = new Set<string>();
    for (const [name, addresses] of Object.entries(networkInterfaces())) {
      if (this.#modules.isExcluded(name)) continue;
      for (const { family, internal, address } of addresses ?? []) {
        if (family === 'IPv4' && !internal) found.add(address);
      }
    }
    return found;
  }

  #note(what: string, error: unknown): void {
    this.#modules.log.debug(what, { code: errorCode(error), error: errorText(error) });
  }
}
