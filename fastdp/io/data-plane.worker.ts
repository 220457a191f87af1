/**
 * Entry of the data plane's thread: opens the device and the sockets, tells how that went, and runs
 * the loop until told to close. It never returns to the event loop while it runs, so commands are
 * taken by hand from the message port.
 */
import { type MessagePort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { errorCode, errorText, WeaveError } from '../../core/errors.js';
import { relayLogger } from '../../core/log.js';
import { EventFd } from '../../sys/eventfd.js';
import { loadAead } from '../../sys/libcrypto.js';
import { enterNetns } from '../../sys/netns.js';
import { askShortTurns, preferThisThread } from '../../sys/scheduling.js';
import { loadSecretbox } from '../../sys/secretbox.js';
import { type OpenPair, UdpPair } from '../../sys/udp.js';
import { openUring, type Uring } from '../../sys/uring.js';
import { DataPlaneLoop, type LoopModules } from './data-plane-loop.js';
import { Gate } from './gate.js';
import { grantQueues } from './grant-queues.js';
import { Heartbeat } from './heartbeat.js';
import { LoopQueue, type QueueLinks } from './loop-queue.js';
import type { Command, Report, SleeveOptions } from './messages.js';
import { type OffloadState, Offloads } from './offloads.js';
import { selfTest } from './self-test.js';
import { RING_ENTRIES } from './tap-writer.js';

/** What the main thread hands over at start. */
export interface WorkerStart {
  readonly options: SleeveOptions;
  readonly port: MessagePort;
  readonly wakeFd: number;
  readonly heartbeat: SharedArrayBuffer;
  /** Opens when device and sockets may be opened. */
  readonly gate: SharedArrayBuffer;
  /** null with one thread. */
  readonly queue: QueueStart | null;
}

/** Which of several threads this one is. */
export interface QueueStart {
  readonly index: number;
  readonly count: number;
  readonly links: QueueLinks;
  /** For a follower: what the primary has opened and found out. */
  readonly given: Given | null;
}

interface Given {
  readonly sockets: OpenPair;
  readonly offloads: readonly OffloadState[];
}

/** The shortest turn that kernels grant: a round takes less, and what waits here are packets. */
const TURN_NANOSECONDS = 100_000;

/**
 * The kernel's own network work goes before all threads, and so does a physical card's. At an
 * ordinary weight beside many busy threads the TAP's queue of 1 000 frames stands full and drops,
 * since a TUN device gives no back-pressure: TCP streams stall for seconds.
 */
const DATA_NICE = -10;

const start = workerData as WorkerStart;
const report = (message: Report): void => start.port.postMessage(message);

const log = relayLogger((level, text, fields) => report({ type: 'log', level, text, fields }));

function testOffloads(offloads: Offloads): () => void {
  const end = selfTest(offloads);
  for (const { name, reason, failed } of offloads.status()) {
    if (failed) log.warn('the kernel gets this wrong; going on without', { offload: name, reason });
  }
  return end;
}

/** @returns null, with the reason noted, if frames are to be written by a call each. */
function openRing(offloads: Offloads): Uring | null {
  if (!offloads.enabled('io-uring')) return null;
  const ring = openUring(RING_ENTRIES);
  if (typeof ring === 'string') {
    offloads.withdraw('io-uring', ring);
    return null;
  }
  offloads.confirm('io-uring', 'the kernel allows it');
  return ring;
}

/** @throws {WeaveError} with a text for the user. */
async function open(): Promise<DataPlaneLoop> {
  const { options } = start;
  const ciphers = { secretbox: await loadSecretbox(), aead: loadAead() };
  if (options.netnsPath !== undefined) enterNetns(options.netnsPath);
  const given = start.queue?.given ?? null;
  if (given !== null) return openFollower(ciphers, given);
  const offloads = new Offloads(options.offloads);
  const endTest = testOffloads(offloads);
  try {
    if (!new Gate(start.gate).pass()) {
      throw new WeaveError('start-cancelled', 'the router could not set up the host');
    }
    return openPrimary(ciphers, offloads);
  } finally {
    endTest();
  }
}

type Ciphers = Pick<LoopModules, 'secretbox' | 'aead'>;

function openPrimary(ciphers: Ciphers, offloads: Offloads): DataPlaneLoop {
  const { options, queue } = start;
  const count = grantQueues(options, offloads, log);
  const pairs = UdpPair.openAll(
    {
      gro: offloads.enabled('udp-gro'),
      port: options.port,
      address: options.address ?? 0,
      ...(options.socketBufferBytes === undefined
        ? {}
        : { bufferBytes: options.socketBufferBytes }),
    },
    count,
  );
  try {
    const place = queue === null || count === 1 ? null : new LoopQueue(0, count, queue.links);
    const [first, ...others] = pairs as [UdpPair, ...UdpPair[]];
    return openLoop(ciphers, offloads, first, place, others);
  } catch (error) {
    for (const pair of pairs) pair.close();
    throw error;
  }
}

function openFollower(ciphers: Ciphers, given: Given): DataPlaneLoop {
  const { index, count, links } = start.queue as QueueStart;
  const udp = UdpPair.adopt(given.sockets);
  try {
    const offloads = Offloads.from(given.offloads);
    return openLoop(ciphers, offloads, udp, new LoopQueue(index, count, links), []);
  } catch (error) {
    udp.close();
    throw error;
  }
}

/** @param others sockets for the threads that follow. */
function openLoop(
  ciphers: Ciphers,
  offloads: Offloads,
  udp: UdpPair,
  queue: LoopQueue | null,
  others: readonly UdpPair[],
): DataPlaneLoop {
  const heartbeat = new Heartbeat(start.heartbeat);
  const loop = new DataPlaneLoop(start.options, {
    ...ciphers,
    udp,
    offloads,
    ring: openRing(offloads),
    wake: new EventFd(start.wakeFd),
    queue,
    // Whole milliseconds: a fraction would make an object of every time that is handed on.
    nowMs: () => Math.floor(performance.now()),
    nextCommand: () => receiveMessageOnPort(start.port)?.message as Command | undefined,
    report,
    beat: (nowMs) => heartbeat.beat(nowMs),
    log,
  });
  heartbeat.beat(performance.now());
  const { tapName } = loop;
  const cryptoLibrary = `${ciphers.secretbox.library}, ${ciphers.aead.library}`;
  const sockets = others.map(({ plainFd, dfFd, port }) => ({ plainFd, dfFd, port }));
  const { port } = udp;
  report({ type: 'ready', tapName, port, cryptoLibrary, sockets, offloads: offloads.status() });
  return loop;
}

try {
  const loop = await open();
  const code = preferThisThread(DATA_NICE);
  if (code !== null) log.debug('the data plane keeps its priority', { code });
  askShortTurns(TURN_NANOSECONDS);
  loop.run();
} catch (error) {
  report({ type: 'start-failed', code: errorCode(error), text: errorText(error) });
}
// The last open handle: the thread ends.
start.port.close();
