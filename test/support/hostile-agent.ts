/**
 * A peer that knows the password and abuses it; started by the lab with `ip netns exec`. Prints
 * one JSON object when it is done: {sessions, messages}.
 *
 *   VERB HOST PORT PASSWORD MILLISECONDS
 *
 *   strangers    a thousand sockets that say nothing, or one byte now and then
 *   partial      sessions that each begin a message of 10 MiB and do not end it
 *   topology     news of ten thousand peers with a hundred links each, again and again
 *   surrogates   gossip, broadcasts and unicasts of ten thousand invented channels
 *   control      overlay control messages and unknown tags as fast as they go
 *   deaf         sessions that never read, and one that makes all others be told things
 *   churn        sessions that come and go
 */
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { concatBytes, utf8 } from '../../core/bytes.js';
import type { PeerName } from '../../core/peer-name.js';
import { Connection } from '../../mesh/peer/connection.js';
import { encodeGossip, encodeUnicast, TAG } from '../../mesh/protocol.js';
import { encodeTopology } from '../../mesh/topology-codec.js';
import { systemRandom } from '../../sys/random.js';
import { entry, link, linkMap } from './topology.js';

const [verb = '', host = '', portText = '', password = '', millisecondsText = ''] =
  process.argv.slice(2);
const port = Number(portText);
const endMs = performance.now() + Number(millisecondsText);
const count = { sessions: 0, messages: 0 };
let nextName = 0x0200_0000_0000;

function openSocket(): Promise<Socket | null> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    socket.once('connect', () => resolve(socket));
    socket.on('error', () => resolve(null));
  });
}

/** A session as our own router would have it, but for what is said in it. */
class Session {
  readonly name = nextName++ as PeerName;
  readonly #socket: Socket;
  readonly #connection: Connection;
  #admitted = false;
  open = true;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#connection = new Connection(
      {
        connId: 1,
        remoteAddr: `${host}:${port}`,
        localAddr: `${socket.localAddress}:${socket.localPort}`,
        outbound: true,
        identity: {
          name: this.name,
          nickname: '\x1b[31mhostile\nname',
          uid: systemRandom.uint64(),
          shortId: 1,
        },
        password: utf8(password),
        minVersion: 1,
        maxVersion: 2,
        trustsRemote: false,
        overlays: ['sleeve'],
        ciphers: ['nacl'],
        extraFeatures: {},
      },
      { random: systemRandom },
    );
  }

  static async begin(): Promise<Session | null> {
    const socket = await openSocket();
    if (socket === null) return null;
    const session = new Session(socket);
    socket.on('close', () => {
      session.open = false;
    });
    socket.on('data', (chunk: Uint8Array) => {
      session.#connection.handleBytes(chunk, performance.now());
      session.#pump();
    });
    session.#connection.start(performance.now());
    session.#pump();
    for (let i = 0; i < 500 && !session.#admitted && session.open; i++) await delay(10);
    if (!session.#admitted) {
      socket.destroy();
      return null;
    }
    count.sessions++;
    return session;
  }

  /** Waits while the socket is full, up to a moment. */
  async say(tag: number, payload: Uint8Array): Promise<void> {
    if (!this.open || !this.#connection.send(tag, payload)) return;
    count.messages++;
    if (this.#pump()) return;
    await Promise.race([new Promise((go) => this.#socket.once('drain', go)), delay(500)]);
  }

  /** Bytes past the framing. */
  raw(bytes: Uint8Array): void {
    if (this.open) this.#socket.write(bytes);
  }

  stopReading(): void {
    this.#socket.pause();
  }

  end(): void {
    this.#socket.destroy();
  }

  /** @returns false if the socket is full. */
  #pump(): boolean {
    let free = true;
    for (;;) {
      const action = this.#connection.pollAction();
      if (action === null) return free;
      if (action.type === 'write') free = this.#socket.write(action.bytes);
      else if (action.type === 'closed') this.#socket.destroy();
      else if (action.type === 'introduced') {
        this.#admitted = true;
        this.#connection.admit(performance.now());
      }
    }
  }
}

async function sessions(wanted: number): Promise<Session[]> {
  const made: Session[] = [];
  while (made.length < wanted && performance.now() < endMs) {
    const session = await Session.begin();
    if (session === null) break;
    made.push(session);
  }
  return made;
}

/** Calls until the time is over, letting timers and sockets have their turn. */
async function untilEnd(act: (round: number) => Promise<void>): Promise<void> {
  for (let round = 0; performance.now() < endMs; round++) {
    await act(round);
    if (round % 64 === 0) await delay(1);
  }
}

async function strangers(): Promise<void> {
  const sockets = await Promise.all(Array.from({ length: 1000 }, openSocket));
  const header = utf8('weave');
  await untilEnd(async (round) => {
    for (const [index, socket] of sockets.entries()) {
      if (index % 2 === 0 && round < header.length)
        socket?.write(header.subarray(round, round + 1));
      if (socket === null || socket.destroyed) sockets[index] = await openSocket();
    }
    await delay(100);
  });
  for (const socket of sockets) socket?.destroy();
}

async function partial(): Promise<void> {
  const all = await sessions(100);
  const start = concatBytes(Uint8Array.of(0, 0xa0, 0, 0), new Uint8Array(9 * 1024 * 1024));
  for (const session of all) session.raw(start);
  await delay(Math.max(0, endMs - performance.now()));
}

async function topology(): Promise<void> {
  const [session] = await sessions(1);
  const PEERS = 9_000;
  const PER_MESSAGE = 500;
  await untilEnd(async (round) => {
    const first = (round * PER_MESSAGE) % PEERS;
    const peers = Array.from({ length: PER_MESSAGE }, (_, p) => {
      const links = Array.from({ length: 100 }, (_, i) => link(1 + ((first + p + i * 7) % PEERS)));
      const connections = linkMap([...links, link(session?.name ?? 0)]);
      return entry(1 + first + p, { version: BigInt(round + 1), connections });
    });
    // Whoever is not reachable is collected, so our own entry leads to the first of them.
    const own = entry(session?.name ?? 0, {
      version: BigInt(round + 1),
      connections: linkMap(Array.from({ length: 9_000 }, (_, i) => link(i + 1))),
    });
    const payload = encodeTopology([own, ...peers]);
    const source = session?.name as PeerName;
    await session?.say(TAG.gossip, encodeGossip({ channel: 'topology', source, payload }));
    // Sources by the thousand, whose broadcasts each need a way of their own.
    for (let i = 0; i < 50; i++) {
      const from = (1 + ((round * 50 + i) % PEERS)) as PeerName;
      const message = { channel: 'words', source: from, payload: utf8(`${round} ${i}`) };
      await session?.say(TAG.gossipBroadcast, encodeGossip(message));
    }
  });
}

async function surrogates(): Promise<void> {
  const [session] = await sessions(1);
  const source = session?.name as PeerName;
  await untilEnd(async (round) => {
    const channel = `channel-${round % 10_000}`;
    const payload = utf8(`${round}`.repeat(100));
    await session?.say(TAG.gossip, encodeGossip({ channel, source, payload }));
    await session?.say(TAG.gossipBroadcast, encodeGossip({ channel, source, payload }));
    const destination = (round % 2 === 0 ? 0 : source) as PeerName;
    await session?.say(TAG.gossipUnicast, encodeUnicast({ channel, source, destination, payload }));
  });
}

async function control(): Promise<void> {
  const [session] = await sessions(1);
  await untilEnd(async (round) => {
    const value = systemRandom.bytes(round % 5);
    for (const tag of [7, 1, 2, 3, 99]) await session?.say(tag, value);
    await session?.say(7, Uint8Array.of(0, 1 + (round % 4), round & 255, 0));
  });
}

async function deaf(): Promise<void> {
  const all = await sessions(60);
  const [speaker, ...listeners] = all;
  for (const listener of listeners) listener.stopReading();
  const source = speaker?.name as PeerName;
  const payload = systemRandom.bytes(4 * 1024 * 1024);
  await untilEnd(async (round) => {
    payload[round % payload.length] = round & 255;
    const channel = `channel-${round % 8}`;
    await speaker?.say(TAG.gossipBroadcast, encodeGossip({ channel, source, payload }));
    const destination = listeners[round % Math.max(1, listeners.length)]?.name as PeerName;
    await speaker?.say(TAG.gossipUnicast, encodeUnicast({ channel, source, destination, payload }));
  });
}

async function churn(): Promise<void> {
  await untilEnd(async () => {
    const some = await sessions(5);
    for (const session of some) session.end();
  });
}

const verbs: Readonly<Record<string, () => Promise<void>>> = {
  ...{ strangers, partial, topology, surrogates, control, deaf, churn },
};
const chosen = verbs[verb];
if (chosen === undefined) throw new Error(`unknown verb ${verb}`);
await chosen();
process.stdout.write(`${JSON.stringify(count)}\n`, () => process.exit(0));
