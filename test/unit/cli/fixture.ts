/** Runs the command line against a real API server over a fake router, or against no router. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { HostActions, Launched, LaunchRequest } from '../../../cli/host-actions.js';
import { httpClient } from '../../../cli/io/http-client.js';
import { run } from '../../../cli/run.js';
import { silentLogger } from '../../../core/log.js';
import { ApiCounters } from '../../../router/api/counters.js';
import { ApiServer } from '../../../router/api/server.js';
import { FakeControl } from '../../support/fake-control.js';

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Time passes only when somebody sleeps; nothing is started. */
export class FakeHost implements HostActions {
  isRoot = true;
  readonly version = '3.0.0';
  launches: LaunchRequest[] = [];
  check = { exitCode: 0, stderr: '' };
  launched: Launched = { pid: 42, exited: () => null };
  /** Called at each sleep, to let something happen meanwhile. */
  onSleep: () => void | Promise<void> = () => {};
  alive = false;
  router = true;
  killed: number[] = [];
  problems: string[] = [];
  cleanUps = 0;
  #now = 0;

  checkOptions() {
    return this.check;
  }

  launch(request: LaunchRequest) {
    this.launches.push(request);
    return this.launched;
  }

  isAlive() {
    return this.alive;
  }

  isRouter() {
    return this.router;
  }

  kill(pid: number) {
    this.killed.push(pid);
  }

  cleanUp() {
    this.cleanUps += 1;
    return this.problems;
  }

  lookedUp: string[] = [];

  async lookUp(name: string, server: string) {
    this.lookedUp.push(`${name} at ${server}`);
    return ['10.32.0.1', 'fd00::1'];
  }

  async sleep(ms: number) {
    this.#now += ms;
    await this.onSleep();
  }

  /** What waits to be done later, for a test to do. */
  later: (() => void)[] = [];

  after(_ms: number, work: () => void) {
    this.later.push(work);
    return () => {
      this.later = this.later.filter((other) => other !== work);
    };
  }

  nowMs() {
    return this.#now;
  }
}

export interface Fixture {
  readonly control: FakeControl;
  readonly host: FakeHost;
  startRouter(): Promise<void>;
  stopRouter(): Promise<void>;
  weave(words: readonly string[], env?: Record<string, string>): Promise<Outcome>;
}

/** @param running start the router at once. */
export async function fixture(t: TestContext, running = true): Promise<Fixture> {
  const folder = mkdtempSync(join(tmpdir(), 'weave-cli-'));
  const path = join(folder, 'weave.sock');
  const control = new FakeControl();
  const host = new FakeHost();
  const options = { http: null, status: null, metrics: null, socketPath: path };
  const modules = { control, counters: new ApiCounters(), log: silentLogger };
  let server: ApiServer | null = null;
  const made: Fixture = {
    control,
    host,
    startRouter: async () => {
      server = new ApiServer(options, modules);
      await server.start();
    },
    stopRouter: async () => {
      await server?.close();
      server = null;
    },
    weave: async (words, env = {}) => {
      let stdout = '';
      let stderr = '';
      const code = await run(words, {
        connect: () => httpClient([{ kind: 'unix', path }]),
        host,
        env,
        stdout: (text) => {
          stdout += text;
        },
        stderr: (text) => {
          stderr += text;
        },
      });
      return { code, stdout, stderr: stderr.replaceAll(path, 'SOCKET') };
    },
  };
  t.after(async () => {
    await made.stopRouter();
    rmSync(folder, { recursive: true });
  });
  if (running) await made.startRouter();
  return made;
}
