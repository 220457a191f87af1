#!/usr/bin/env node
/**
 * What the data plane allocates in steady state: two data planes joined in memory carry frames for
 * each cipher, with heartbeats and timers going on. The young generation is made so large that no
 * collection runs meanwhile, so the growth of the heap is all that was allocated.
 *
 *   node --expose-gc --min-semi-space-size=... allocation.js
 */
import { spawnSync } from 'node:child_process';
import { PerformanceObserver } from 'node:perf_hooks';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { DataPlane } from '../../fastdp/data-plane.js';
import type { DataCipher } from '../../mesh/overlay.js';
import { SinkTap, WirePort } from './ports.js';
import {
  aead,
  CIPHERS,
  FRAME_BYTES,
  LOCAL,
  LOCAL_MAC,
  makeFrame,
  peeringOf,
  REMOTE,
  secretbox,
} from './rig.js';

const FRAMES = 1_000_000;
const BATCH = 64;
const WARM_UP_BATCHES = 3000;
/** Simulated time per batch; whole, as the loop's clock is. */
const BATCH_MS = 1;
const SEMI_SPACE_FLAGS = ['--expose-gc', '--min-semi-space-size=256', '--max-semi-space-size=256'];
const MEGABYTE = 1024 * 1024;

type Handler = (buffer: Uint8Array, offset: number, bytes: number) => void;

class Pair {
  readonly #ports = WirePort.pair();
  readonly #taps = [new SinkTap(), new SinkTap()] as const;
  readonly #planes: readonly [DataPlane, DataPlane];
  readonly #handlers: readonly Handler[];
  readonly #frame = this.#ports[0].capture;
  #nowMs = 1000;

  constructor(cipher: DataCipher) {
    this.#frame.set(makeFrame());
    const make = (index: 0 | 1): DataPlane => {
      const [datagrams, tap] = [this.#ports[index], this.#taps[index]];
      const localPeer = index === 0 ? LOCAL : REMOTE;
      const plane = new DataPlane({ localPeer }, { datagrams, tap, secretbox, aead });
      plane.setForwarding({
        peers: new Set([LOCAL, REMOTE]),
        unicast: new Map([index === 0 ? [REMOTE, REMOTE] : [LOCAL, LOCAL]]),
        broadcast: new Map([[localPeer, [index === 0 ? REMOTE : LOCAL]]]),
      });
      plane.prepare(peeringOf(cipher, index === 0));
      return plane;
    };
    this.#planes = [make(0), make(1)];
    const [a, b] = this.#planes;
    this.#handlers = [
      (buffer, offset, bytes) =>
        a.handleDatagram(buffer, offset, bytes, 0xc000_0202, 6783, this.#nowMs),
      (buffer, offset, bytes) =>
        b.handleDatagram(buffer, offset, bytes, 0xc000_0201, 6783, this.#nowMs),
    ];
    b.confirm(1, this.#nowMs);
    a.confirm(1, this.#nowMs);
    for (let i = 0; i < 4000; i++) this.step();
    // An answer teaches where the destination lives, so that frames are no broadcasts.
    const answer = makeFrame(64);
    answer.set(this.#frame.subarray(6, 12), 0);
    answer.set(this.#frame.subarray(0, 6), 6);
    b.handleFrame(answer, 0, answer.length, this.#nowMs);
    b.flush(this.#nowMs);
    this.step();
    if (this.#taps[0].frames !== 1) throw new Error(`no answer for ${LOCAL_MAC}`);
  }

  get delivered(): number {
    return this.#taps[1].frames;
  }

  /** A batch of frames from one end to the other. */
  carry(frames: number): void {
    const plane = this.#planes[0];
    for (let i = 0; i < frames; i++) {
      plane.handleFrame(this.#frame, 0, FRAME_BYTES, this.#nowMs);
    }
    plane.flush(this.#nowMs);
    this.step();
  }

  /** What the loop does in a round: datagrams, timers, events. */
  step(): void {
    this.#nowMs += BATCH_MS;
    for (let index = 0; index < 2; index++) {
      const plane = this.#planes[index] as DataPlane;
      const handler = this.#handlers[index] as Handler;
      (this.#ports[index] as WirePort).deliver(handler);
      plane.flush(this.#nowMs);
      const timeout = plane.nextTimeout();
      if (timeout !== null && timeout.atMs <= this.#nowMs) plane.handleTimeout(this.#nowMs);
      const other = this.#planes[1 - index] as DataPlane;
      for (let event = plane.pollEvent(); event !== null; event = plane.pollEvent()) {
        if (event.type === 'control') other.handleControl(1, event.subTag, event.data, this.#nowMs);
        if (event.type === 'failed') throw new Error(event.reason);
      }
    }
  }
}

async function measure(cipher: DataCipher): Promise<number> {
  let collections = 0;
  const observer = new PerformanceObserver((list) => {
    collections += list.getEntries().length;
  });
  const pair = new Pair(cipher);
  for (let i = 0; i < WARM_UP_BATCHES; i++) pair.carry(BATCH);
  const before = pair.delivered;
  globalThis.gc?.();
  await nextTurn();
  observer.observe({ entryTypes: ['gc'] });
  const heapBefore = process.memoryUsage().heapUsed;
  for (let sent = 0; sent < FRAMES; sent += BATCH) pair.carry(BATCH);
  const grown = process.memoryUsage().heapUsed - heapBefore;
  await nextTurn();
  observer.disconnect();
  if (pair.delivered - before < FRAMES) throw new Error(`${cipher}: frames were lost`);
  if (collections > 0) throw new Error(`${cipher}: more than the young generation was allocated`);
  return grown / MEGABYTE;
}

if (globalThis.gc === undefined || !process.execArgv.includes(SEMI_SPACE_FLAGS[1] as string)) {
  // These flags only count at the start of a process.
  const argv = [...SEMI_SPACE_FLAGS, fileURLToPath(import.meta.url)];
  process.exitCode = spawnSync(process.execPath, argv, { stdio: 'inherit' }).status ?? 1;
} else {
  const perCipher: Record<string, number> = {};
  for (const cipher of CIPHERS) perCipher[cipher] = await measure(cipher);
  const mbPerMillionFrames = Math.max(...Object.values(perCipher));
  console.log(JSON.stringify({ mbPerMillionFrames, perCipher }));
}
