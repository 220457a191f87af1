/**
 * Asks the host's resolvers what is none of our names. The best resolver is asked first, the next
 * one when it is slow or no help; the first good answer counts. Clients with the same question at
 * the same time share one. The bytes pass through as they are, but for the id and for what the
 * client has no room for. Source: reference/weavedns.md 9, 13 (11, 12).
 *
 *   query ──> same question on its way? ──yes──> waits for it
 *                └──no──> server 1 … 1 s … server 2 … 1 s … server 1 again …  until 5 s
 */
import { setMaxListeners } from 'node:events';
import type { Clock } from '../../core/clock.js';
import { errorCode } from '../../core/errors.js';
import type { Random } from '../../core/random.js';
import { randomBelow } from '../../core/random.js';
import type { DnsCounters, UpstreamFailure } from '../dns-counters.js';
import { HEADER_BYTES, RCODES } from '../query.js';
import type { Upstreams } from '../upstreams.js';
import { exchange, questionEnd, type Transport } from './exchange.js';
import { StandbySockets } from './standby-sockets.js';

/** Different questions on their way at the same time; more are refused. */
export const MAX_QUESTIONS = 1024;
/** Of one client, so that it can not take all. */
export const MAX_QUESTIONS_PER_CLIENT = 256;
/** Clients that wait for the same answer. */
const MAX_WAITERS = 1024;
/** A resolver that has not answered by then gets company. */
const PATIENCE_MS = 1000;
const DNS_PORT = 53;
const TC = 0x02;
const MIN_UDP_BYTES = 512;

export interface ForwarderOptions {
  /** How long one resolver may take. */
  readonly timeoutMs: number;
  readonly port?: number;
}

export interface ForwarderModules {
  readonly upstreams: Upstreams;
  readonly counters: DnsCounters;
  readonly clock: Clock;
  readonly random: Random;
}

export interface Forwarded {
  readonly client: string;
  readonly transport: Transport;
  /** What the client takes over UDP. */
  readonly limitBytes: number;
  /** @param answer a buffer of its own with the client's id; null: nobody could tell. */
  readonly deliver: (answer: Buffer | null) => void;
}

interface Waiter extends Forwarded {
  readonly id: number;
}

interface Question {
  readonly waiters: Waiter[];
  readonly abort: AbortController;
}

export class Forwarder {
  readonly #options: ForwarderOptions;
  readonly #modules: ForwarderModules;
  /** By transport, room and the bytes behind the id. BOUNDED by MAX_QUESTIONS. */
  readonly #questions = new Map<string, Question>();
  /** Questions by client. BOUNDED as #questions. */
  readonly #perClient = new Map<string, number>();
  readonly #sockets: StandbySockets;
  #closed = false;

  constructor(options: ForwarderOptions, modules: ForwarderModules) {
    this.#options = options;
    this.#modules = modules;
    this.#sockets = new StandbySockets(() => modules.clock.nowMs());
  }

  /**
   * @param bytes a whole query, well formed; copied.
   * @returns false if there are too many questions already; nothing is delivered then.
   */
  forward(bytes: Buffer, forwarded: Forwarded): boolean {
    const { counters } = this.#modules;
    const { client, transport, limitBytes } = forwarded;
    const key = `${transport} ${limitBytes} ${bytes.toString('latin1', 2)}`;
    const waiter: Waiter = { ...forwarded, id: bytes.readUInt16BE(0) };
    const known = this.#questions.get(key);
    const mine = this.#perClient.get(client) ?? 0;
    const isFull =
      known === undefined
        ? this.#questions.size >= MAX_QUESTIONS || mine >= MAX_QUESTIONS_PER_CLIENT
        : known.waiters.length >= MAX_WAITERS;
    if (isFull || this.#closed) {
      counters.upstreamFailed('overload');
      return false;
    }
    counters.forwarded();
    if (known !== undefined) {
      known.waiters.push(waiter);
      return true;
    }
    const question: Question = { waiters: [waiter], abort: new AbortController() };
    // Each attempt listens: two rounds of servers, with a retry each.
    setMaxListeners(0, question.abort.signal);
    this.#questions.set(key, question);
    this.#perClient.set(client, mine + 1);
    void this.#ask(Buffer.from(bytes), forwarded, question.abort.signal).then((answer) => {
      this.#questions.delete(key);
      const rest = (this.#perClient.get(client) ?? 1) - 1;
      if (rest === 0) this.#perClient.delete(client);
      else this.#perClient.set(client, rest);
      question.abort.abort();
      for (const each of question.waiters) each.deliver(answer && fitted(answer, each));
    });
    return true;
  }

  /** Sent to learn whether the server sends our queries back to us; its answer is of no use. */
  probe(address: string, query: Buffer): void {
    const options = {
      ...this.#exchangeOptions(address, 'udp'),
      signal: new AbortController().signal,
    };
    const own = Buffer.from(query);
    own.writeUInt16BE(randomBelow(this.#modules.random, 0x10000), 0);
    exchange(own, options).catch(() => {});
  }

  /** Closes what waits for resolvers that nobody asks any more. */
  trim(): void {
    this.#sockets.trim();
  }

  /** Whoever waits gets nothing. */
  close(): void {
    this.#closed = true;
    this.#sockets.close();
    for (const { abort } of this.#questions.values()) abort.abort();
  }

  #exchangeOptions(address: string, transport: Transport) {
    const { timeoutMs, port = DNS_PORT } = this.#options;
    return { address, port, transport, timeoutMs, sockets: this.#sockets };
  }

  /** The first good answer; else the first that at least says something; else null. */
  #ask(query: Buffer, { transport, limitBytes }: Forwarded, signal: AbortSignal) {
    const { upstreams, clock } = this.#modules;
    const once = upstreams.order(clock.nowMs());
    // A second round, since a datagram may get lost and its sender waits for us.
    const servers = [...once, ...once];
    return new Promise<Buffer | null>((resolve) => {
      let next = 0;
      let running = 0;
      let second: Buffer | null = null;
      let timer: NodeJS.Timeout | undefined;
      let isFinished = false;
      const finish = (answer: Buffer | null): void => {
        clearTimeout(timer);
        isFinished = true;
        resolve(answer);
      };
      signal.addEventListener('abort', () => finish(null), { once: true });
      const start = (): void => {
        if (isFinished) return;
        clearTimeout(timer);
        const server = servers[next];
        next++;
        if (server === undefined) {
          if (running === 0) finish(second);
          return;
        }
        running++;
        timer = setTimeout(start, PATIENCE_MS);
        void this.#askOne(query, server, transport, limitBytes, signal).then((answer) => {
          running--;
          if (answer !== null && !isNoHelp(answer)) {
            if (!isFinished) finish(answer);
            return;
          }
          second ??= answer;
          // Asking somebody again who has just said no gives the same answer.
          if (answer !== null && next >= once.length) next = servers.length;
          start();
        });
      };
      start();
    });
  }

  async #askOne(
    query: Buffer,
    server: string,
    transport: Transport,
    limitBytes: number,
    signal: AbortSignal,
  ): Promise<Buffer | null> {
    const { upstreams, clock } = this.#modules;
    // A new id for each: whoever sees one must not be able to answer for another.
    const own = Buffer.from(query);
    own.writeUInt16BE(randomBelow(this.#modules.random, 0x10000), 0);
    const options = { ...this.#exchangeOptions(server, transport), signal };
    try {
      const answer = await exchange(own, options);
      upstreams.noteAnswer(server);
      const isCut = transport === 'udp' && ((answer[2] as number) & TC) !== 0;
      if (!isCut || limitBytes <= MIN_UDP_BYTES) return answer;
      // The server gives less over UDP than this client could take.
      return await exchange(own, { ...options, transport: 'tcp' }).catch(() => answer);
    } catch (error) {
      if (signal.aborted) return null;
      this.#modules.counters.upstreamFailed(failureOf(error));
      upstreams.noteFailure(server, clock.nowMs());
      return null;
    }
  }
}

function failureOf(error: unknown): UpstreamFailure {
  const code = errorCode(error);
  if (code === 'upstream-timeout') return 'timeout';
  return code === 'upstream-malformed' ? 'malformed' : 'unreachable';
}

/** Another server may know more. */
function isNoHelp(answer: Buffer): boolean {
  const rcode = (answer[3] as number) & 15;
  return rcode === RCODES.SERVFAIL || rcode === RCODES.REFUSED || rcode === RCODES.NOTIMP;
}

/** A copy with the client's id; what is too long for it becomes an empty answer with TC. */
function fitted(answer: Buffer, { id, transport, limitBytes }: Waiter): Buffer {
  const isTooLong = transport === 'udp' && answer.length > limitBytes;
  const hasQuestion = answer.readUInt16BE(4) === 1;
  const keptBytes = hasQuestion ? questionEnd(answer) : HEADER_BYTES;
  const out = Buffer.from(isTooLong ? answer.subarray(0, keptBytes) : answer);
  out.writeUInt16BE(id, 0);
  if (isTooLong) {
    out[2] = (out[2] as number) | TC;
    // No records are left, and no question unless it was kept.
    out.fill(0, hasQuestion ? 6 : 4, HEADER_BYTES);
  }
  return out;
}
