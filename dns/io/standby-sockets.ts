/**
 * UDP sockets to resolvers, opened before they are needed: each question gets a fresh one with a
 * source port of its own, without waiting for it.
 */
import { DgramAsPromised } from 'dgram-as-promised';

type Socket = ReturnType<typeof DgramAsPromised.createSocket>;

interface Standby {
  readonly socket: Socket;
  readonly openedMs: number;
}

/** For each resolver; more at once are opened when asked for. */
const STANDBYS = 4;
/** Routes and addresses of this host may have changed since; then it is opened anew. */
const MAX_AGE_MS = 20_000;

export class StandbySockets {
  /** By address and port. BOUNDED by STANDBYS for each resolver asked in the last MAX_AGE_MS. */
  readonly #standbys = new Map<string, Standby[]>();
  readonly #nowMs: () => number;
  #closed = false;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /**
   * @returns connected to the resolver; the caller closes it and sets the listeners it needs.
   * @throws {Error} with Node's code, e.g. ENETUNREACH.
   */
  async take(address: string, port: number): Promise<Socket> {
    const list = this.#listOf(address, port);
    for (let next = list.shift(); next !== undefined; next = list.shift()) {
      if (this.#nowMs() - next.openedMs < MAX_AGE_MS) {
        next.socket.socket.removeAllListeners('error');
        next.socket.ref();
        return next.socket;
      }
      closeSocket(next.socket);
    }
    return await connected(address, port);
  }

  /** Fills up; to be called when there is time. */
  prepare(address: string, port: number): void {
    const list = this.#listOf(address, port);
    if (this.#closed || list.length >= STANDBYS) return;
    connected(address, port).then(
      (socket) => {
        socket.unref();
        socket.socket.on('error', () => {});
        if (this.#closed || list.length >= STANDBYS) closeSocket(socket);
        else list.push({ socket, openedMs: this.#nowMs() });
      },
      () => {
        // Whoever needs the resolver next will hear of it.
      },
    );
  }

  /** Resolvers that are not asked any more keep nothing open. */
  trim(): void {
    for (const [key, list] of this.#standbys) {
      while (list[0] !== undefined && this.#nowMs() - list[0].openedMs >= MAX_AGE_MS) {
        closeSocket((list.shift() as Standby).socket);
      }
      if (list.length === 0) this.#standbys.delete(key);
    }
  }

  close(): void {
    this.#closed = true;
    for (const list of this.#standbys.values()) {
      for (const { socket } of list.splice(0)) closeSocket(socket);
    }
    this.#standbys.clear();
  }

  #listOf(address: string, port: number): Standby[] {
    const key = `${address} ${port}`;
    let list = this.#standbys.get(key);
    if (list === undefined) {
      list = [];
      this.#standbys.set(key, list);
    }
    return list;
  }
}

export function closeSocket(socket: Socket): void {
  socket.close().catch(() => {});
}

/** A connected socket takes nothing from others, and hears when nobody listens there. */
function connected(address: string, port: number): Promise<Socket> {
  const promised = DgramAsPromised.createSocket({
    type: address.includes(':') ? 'udp6' : 'udp4',
    // Numbers need no look-up, which would cost turns of the loop.
    lookup: (host, _options, done) => done(null, host, host.includes(':') ? 6 : 4),
  });
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => {
      closeSocket(promised);
      reject(error);
    };
    promised.socket.once('error', fail);
    // The types leave out that the callback hears of failures as well.
    promised.socket.connect(port, address, ((error?: Error) => {
      promised.socket.removeListener('error', fail);
      if (error == null) resolve(promised);
      else fail(error);
    }) as () => void);
  });
}
