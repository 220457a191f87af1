/**
 * One measurement: a setting, one system in it, and all measures one after the other. A measure
 * that fails leaves null and a note; only a system that does not come up fails as a whole.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { errorText } from '../core/errors.js';
import { measureLatency, waitReachable } from './measure/latency.js';
import { readResidentMb } from './measure/processor.js';
import { waitQuiet } from './measure/quiet.js';
import { measureTcp, startTcpServer } from './measure/tcp.js';
import { largePayloadBytes, measureUdp, smallPayloadBytes } from './measure/udp.js';
import { type BenchOptions, type Effort, effortOf } from './options.js';
import { type MeasureKey, noValues, type Sample, type Values } from './sample.js';
import { Setting } from './setting.js';
import type { RunningSystem, System } from './system.js';

/** Garbage of the start is collected and path MTUs are found by then. */
const SETTLE_MS = 1_500;
const WARM_UP_SECONDS = 3;
const PACED_SHARE = 0.8;
/** Other work that lasts longer than this is not waited for. */
const QUIET_LIMIT_MS = 6_000;
const QUICK_QUIET_LIMIT_MS = 2_000;

export interface MeasureModules {
  readonly keepFolder: string;
  /** Told the name of each measure as it begins. */
  readonly progress: (step: string) => void;
}

/** @throws Error if the system does not come up, with the ends of its logs. */
export async function measureSystem(
  system: System,
  round: number,
  options: BenchOptions,
  modules: MeasureModules,
): Promise<Sample> {
  modules.progress('waiting for a quiet machine');
  const busyBefore = await waitQuiet(options.quick ? QUICK_QUIET_LIMIT_MS : QUIET_LIMIT_MS);
  const setting = new Setting(options, modules.keepFolder);
  try {
    modules.progress('start');
    let running: RunningSystem;
    try {
      running = await system.start(setting);
      await waitReachable(setting.lab, running);
    } catch (error) {
      throw new Error(`${errorText(error)} — ${setting.logTails()}`);
    }
    const notes = running.note === undefined ? [] : [running.note];
    const values = noValues();
    await delay(SETTLE_MS);
    await takeMeasures(setting, running, effortOf(options), { values, notes }, modules.progress);
    return { system: system.id, round, values, busyBefore, notes };
  } finally {
    setting.close();
  }
}

interface Collected {
  readonly values: Values;
  readonly notes: string[];
}

async function takeMeasures(
  setting: Setting,
  running: RunningSystem,
  effort: Effort,
  { values, notes }: Collected,
  progress: (step: string) => void,
): Promise<void> {
  const { lab } = setting;
  const step = async (name: string, take: () => Promise<Partial<Values>>): Promise<void> => {
    progress(name);
    try {
      Object.assign(values, await take());
    } catch (error) {
      notes.push(`${name} failed: ${errorText(error)}`);
    }
  };
  values.residentIdleMb = readResidentMb(running.pids);
  await startTcpServer(lab, running);
  // Runtimes that compile as they go, and TCP itself, are not judged by their first seconds.
  await step('warm-up', async () => {
    await measureTcp(lab, running, 1, WARM_UP_SECONDS);
    return {};
  });
  await step('TCP', async () => {
    // Reading starts a new period, so that the next reading covers the load alone.
    await running.loopDelayP99Ms?.();
    const tcp = await measureTcp(lab, running, 1, effort.tcpSeconds);
    return {
      tcp1Mbps: tcp.megabits,
      cpuPerGb: tcp.machineSecondsPerGb,
      overlayCpuPerGb: tcp.overlaySecondsPerGb,
      loopDelayP99Ms: (await running.loopDelayP99Ms?.()) ?? null,
    };
  });
  await step('TCP x4', async () => {
    const { megabits } = await measureTcp(lab, running, 4, effort.manyStreamsSeconds);
    return { tcp4Mbps: megabits };
  });
  await step('latency', async () => {
    const { floodMeanMs, p50Ms, p99Ms } = await measureLatency(lab, running, effort.pings);
    return { floodMeanMs, pingP50Ms: p50Ms, pingP99Ms: p99Ms };
  });
  const udpPair = async (bytes: number, fps: MeasureKey, loss: MeasureKey): Promise<void> => {
    await step(`UDP ${bytes}`, async () => {
      const flood = await measureUdp(lab, running, bytes, effort.floodSeconds, 0);
      return { [fps]: flood.framesPerSecond };
    });
    const rate = values[fps];
    if (rate === null) return;
    await step(`UDP ${bytes} paced`, async () => {
      const paced = await measureUdp(lab, running, bytes, effort.pacedSeconds, rate * PACED_SHARE);
      return { [loss]: paced.lossPercent };
    });
  };
  await udpPair(smallPayloadBytes, 'smallFps', 'smallLossPercent');
  await udpPair(largePayloadBytes(setting.workloadMtu), 'largeFps', 'largeLossPercent');
  values.residentLoadedMb = readResidentMb(running.pids);
}
