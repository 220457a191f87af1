/** The controller as a process on the node of a rig, with an API server of the tests. */
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import type { NpcReport } from '../../k8s/npc/daemon/report.js';
import { KubernetesApi } from '../../test/support/kubernetes-api.js';
import type { BackgroundProcess } from '../../test/support/lab.js';
import type { PodRig } from '../../test/support/pod-rig.js';
import { projectRoot } from '../../test/support/vectors.js';
import { waitFor } from '../../test/support/wait.js';
import { NODE } from './world.js';

const START_LIMIT_MS = 120_000;
const PROGRAM = join(projectRoot, 'dist/k8s/npc/daemon/main.js');

export class RunningController {
  readonly api: KubernetesApi;
  readonly #rig: PodRig;
  readonly #socket: string;
  #process: BackgroundProcess | null = null;

  constructor(rig: PodRig) {
    this.#rig = rig;
    this.api = KubernetesApi.start({ netns: rig.host });
    this.#socket = join(rig.lab.folder, 'npc.sock');
    rig.lab.onClose(() => this.api.down());
  }

  /** Starts it and waits until the kernel has what the API server holds. */
  async start(): Promise<void> {
    this.#process = this.#rig.lab.start(
      this.#rig.host,
      [
        ...[process.execPath, PROGRAM, '--node-name', NODE, '--api-server', this.api.url],
        ...['--socket', this.#socket, '--metrics-addr='],
      ],
      { label: 'weave-npc' },
    );
    await this.settle(START_LIMIT_MS);
  }

  /** Waits until nothing is in flight and nothing waits. */
  async settle(limitMs: number): Promise<void> {
    await waitFor('settled controller', limitMs, async () => {
      const { phase, settled } = await this.report();
      return phase === 'enforcing' && settled;
    });
  }

  async report(): Promise<NpcReport> {
    const body = await new Promise<string>((resolve, reject) => {
      const sent = request({ socketPath: this.#socket, path: '/report' }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
        });
        response.once('end', () => resolve(text));
      });
      sent.once('error', reject).end();
    });
    return JSON.parse(body) as NpcReport;
  }

  residentMb(): number {
    const status = readFileSync(`/proc/${this.#process?.pid}/status`, 'utf8');
    return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? Number.NaN) / 1024;
  }
}
