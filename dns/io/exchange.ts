/**
 * One question to one resolver, over UDP or TCP, each from a socket of its own: a fresh source port
 * beside the random id is what forgers must guess (RFC 5452).
 */
import { connect } from 'node:net';
import { WeaveError } from '../../core/errors.js';
import { HEADER_BYTES } from '../query.js';
import { closeSocket, type StandbySockets } from './standby-sockets.js';

export type Transport = 'udp' | 'tcp';

export interface ExchangeOptions {
  readonly address: string;
  readonly port: number;
  readonly transport: Transport;
  /** For connecting and answering together. */
  readonly timeoutMs: number;
  /** Ends the wait early; its reason is of no interest then. */
  readonly signal: AbortSignal;
  /** For UDP. */
  readonly sockets: StandbySockets;
}

/** Silence of the resolver; the socket is closed. */
const timedOut = (): WeaveError => new WeaveError('upstream-timeout', 'the resolver is silent');
const unreachable = (error: Error): WeaveError =>
  new WeaveError('upstream-unreachable', error.message);
const malformed = (): WeaveError =>
  new WeaveError('upstream-malformed', 'the resolver answered something else than was asked');

/**
 * @param query a whole message with its own id.
 * @returns the answer, with the same id and question.
 * @throws {WeaveError} `upstream-timeout`, `upstream-unreachable`, `upstream-malformed`
 */
export function exchange(query: Buffer, options: ExchangeOptions): Promise<Buffer> {
  return options.transport === 'udp' ? overUdp(query, options) : overTcp(query, options);
}

async function overUdp(query: Buffer, options: ExchangeOptions): Promise<Buffer> {
  const { address, port, timeoutMs, signal, sockets } = options;
  const promised = await sockets.take(address, port).catch((error: Error) => {
    throw unreachable(error);
  });
  const { socket } = promised;
  let timer: NodeJS.Timeout | undefined;
  try {
    return await new Promise<Buffer>((resolve, reject) => {
      timer = setTimeout(() => reject(timedOut()), timeoutMs);
      if (signal.aborted) reject(timedOut());
      signal.addEventListener('abort', () => reject(timedOut()), { once: true });
      socket.on('error', (error) => reject(unreachable(error)));
      socket.on('message', (answer) => {
        if (answersTo(query, answer)) resolve(answer);
      });
      socket.send(query, (error) => {
        if (error !== null) reject(unreachable(error));
      });
    });
  } finally {
    clearTimeout(timer);
    // The client has its answer first.
    setImmediate(() => {
      closeSocket(promised);
      sockets.prepare(address, port);
    });
  }
}

function overTcp(query: Buffer, options: ExchangeOptions): Promise<Buffer> {
  const { address, port, timeoutMs, signal } = options;
  return new Promise<Buffer>((resolve, reject) => {
    const socket = connect({ host: address, port });
    const fail = (error: WeaveError): void => {
      clearTimeout(timer);
      socket.destroy();
      reject(error);
    };
    const timer = setTimeout(() => fail(timedOut()), timeoutMs);
    signal.addEventListener('abort', () => fail(timedOut()), { once: true });
    const length = Buffer.allocUnsafe(2);
    length.writeUInt16BE(query.length);
    socket.once('connect', () => socket.write(Buffer.concat([length, query])));
    let received: Buffer = Buffer.alloc(0);
    // BOUNDED: what the length field can say, since more ends the connection.
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      const wanted = received.length < 2 ? null : 2 + received.readUInt16BE(0);
      if (wanted === null || received.length < wanted) return;
      const answer = received.subarray(2, wanted);
      if (!answersTo(query, answer)) {
        fail(malformed());
        return;
      }
      clearTimeout(timer);
      socket.destroy();
      resolve(answer);
    });
    socket.once('error', (error) => fail(unreachable(error)));
    socket.once('end', () => fail(unreachable(new Error('the resolver hung up'))));
  });
}

/** Same id, a response, and the same question where it repeats one. */
function answersTo(query: Buffer, answer: Buffer): boolean {
  if (answer.length < HEADER_BYTES || (answer[2] as number) < 0x80) return false;
  if (answer.readUInt16BE(0) !== query.readUInt16BE(0)) return false;
  // Servers that refuse a query may leave its question out.
  if (answer.readUInt16BE(4) === 0) return true;
  const end = questionEnd(query);
  const [asked, repeated] = [query, answer].map((bytes) =>
    bytes.toString('latin1', HEADER_BYTES, end).toLowerCase(),
  );
  return asked === repeated;
}

/** @param query well formed */
export function questionEnd(query: Buffer): number {
  let at = HEADER_BYTES;
  while ((query[at] ?? 0) !== 0) at += 1 + (query[at] as number);
  return at + 5;
}
