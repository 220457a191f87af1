/** What the figures were taken on: without it they mean nothing. */
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os';
import type { Machine } from './sample.js';

export function describeMachine(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    processors: availableParallelism(),
    kernel: release(),
    node: process.version,
    memoryMb: Math.round(totalmem() / 1024 / 1024),
    loadBefore: loadavg()[0] ?? 0,
  };
}

export function machineLine(machine: Machine, date: string): string {
  const { cpu, processors, kernel, node, memoryMb } = machine;
  return `${processors} × ${cpu}, ${memoryMb} MB, Linux ${kernel}, Node ${node}, ${date}`;
}
