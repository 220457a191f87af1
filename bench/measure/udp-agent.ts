#!/usr/bin/env node
/**
 * Sends or counts UDP datagrams as fast as batched system calls allow; iperf3 makes several calls
 * per datagram and would be the bottleneck. Each datagram is one packet for the kernel: neither
 * segmentation nor receive offload is used, so the number of frames is the number of datagrams.
 *
 *   udp-agent send ADDRESS PORT PAYLOAD_BYTES SECONDS RATE   rate per second, 0 = all it can
 *   udp-agent count PORT                                     ends after a silence
 *
 * Each prints one JSON object at its end; `count` prints `ready` before.
 */
import { parseIpv4 } from '../../core/ip.js';
import { Memory } from '../../sys/memory.js';
import { PollSet } from '../../sys/poll.js';
import { UdpPair } from '../../sys/udp.js';
import { ReceiveBatch } from '../../sys/udp-receive-batch.js';
import { SendBatch } from '../../sys/udp-send-batch.js';

const BATCH = 64;
/** Paced sending wakes up this often and sends what has fallen due. */
const TICK_MS = 1;
/** No datagram for so long: the sender has ended and what was under way has arrived or is lost. */
const SILENCE_MS = 400;
const FIRST_DATAGRAM_MS = 10_000;

export interface SendReport {
  readonly sent: number;
  readonly refused: number;
}

export interface CountReport {
  readonly received: number;
  /** From the first datagram to the last. */
  readonly seconds: number;
}

function send(address: string, port: number, bytes: number, seconds: number, rate: number): void {
  const { plainFd } = UdpPair.open({ port: 0, gro: false });
  const batch = new SendBatch(plainFd, BATCH, false);
  const payload = new Memory(bytes);
  const ip = parseIpv4(address);
  const pause = new Int32Array(new SharedArrayBuffer(4));
  const startedMs = performance.now();
  const endMs = startedMs + seconds * 1000;
  const counters = batch.counters;
  for (let nowMs = startedMs; nowMs < endMs; nowMs = performance.now()) {
    const due =
      rate === 0
        ? Number.POSITIVE_INFINITY
        : ((nowMs - startedMs) * rate) / 1000 - counters.datagrams;
    if (due < 1) {
      Atomics.wait(pause, 0, 0, TICK_MS);
      continue;
    }
    for (let i = Math.min(BATCH, Math.floor(due)); i > 0; i--) {
      batch.add(payload.address, bytes, bytes, ip, port, 0, 0);
    }
    batch.flush(() => {});
  }
  const report: SendReport = {
    sent: counters.datagrams - counters.failures,
    refused: counters.failures,
  };
  console.log(JSON.stringify(report));
}

function count(port: number): void {
  const { plainFd } = UdpPair.open({ port, gro: false });
  const batch = new ReceiveBatch(plainFd, BATCH);
  const poll = new PollSet([plainFd]);
  let received = 0;
  const onDatagram = (): void => {
    received++;
  };
  console.log('ready');
  let firstMs = 0;
  let lastMs = 0;
  for (;;) {
    if (poll.wait(received === 0 ? FIRST_DATAGRAM_MS : SILENCE_MS) === 0) break;
    while (batch.receive(onDatagram) === BATCH);
    lastMs = performance.now();
    if (firstMs === 0) firstMs = lastMs;
  }
  const report: CountReport = { received, seconds: (lastMs - firstMs) / 1000 };
  console.log(JSON.stringify(report));
}

const [verb, ...args] = process.argv.slice(2);
if (verb === 'send') {
  const [address = '', port, bytes, seconds, rate] = args;
  send(address, Number(port), Number(bytes), Number(seconds), Number(rate));
} else if (verb === 'count') {
  count(Number(args[0]));
} else {
  console.error('usage: udp-agent send ADDRESS PORT BYTES SECONDS RATE | count PORT');
  process.exitCode = 2;
}
