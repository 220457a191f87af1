/** Containers followed over Docker's API: list, events, a stream that breaks, garbage in it. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { silentLogger } from '../../../../../core/log.js';
import { ContainerWatch } from '../../../../../router/host/io/container-watch.js';
import { waitFor } from '../../../../support/wait.js';

const [A, B] = ['a'.repeat(64), 'b'.repeat(64)];

class FakeEngine {
  readonly path: string;
  running: string[] = [];
  streams: ServerResponse[] = [];
  #server: Server | null = null;

  constructor(path: string) {
    this.path = path;
  }

  async start(): Promise<void> {
    this.#server = createServer((request, response) => {
      if (request.url?.startsWith('/events') === true) {
        response.writeHead(200).flushHeaders();
        this.streams.push(response);
        return;
      }
      assert.equal(request.url, '/containers/json');
      response.end(JSON.stringify(this.running.map((Id) => ({ Id }))));
    });
    await new Promise<void>((resolve) => this.#server?.listen(this.path, resolve));
  }

  say(text: string): void {
    for (const stream of this.streams) stream.write(text);
  }

  event(Action: string, ID: string): void {
    this.say(`${JSON.stringify({ Type: 'container', Action, Actor: { ID } })}\n`);
  }

  stop(): void {
    this.streams = [];
    this.#server?.closeAllConnections();
    this.#server?.close();
  }
}

function rig(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'weave-engine-'));
  const engine = new FakeEngine(join(folder, 'engine.sock'));
  const seen: string[] = [];
  const watch = new ContainerWatch(
    [join(folder, 'absent.sock'), engine.path],
    {
      onEvent: ({ kind, id }) => seen.push(`${kind} ${id[0]}`),
      onListed: () => seen.push('listed'),
    },
    silentLogger,
  );
  t.after(() => {
    watch.stop();
    engine.stop();
    rmSync(folder, { recursive: true });
  });
  return { engine, watch, seen };
}

test('list, events, and what happened while the engine was away', async (t) => {
  const { engine, watch, seen } = rig(t);
  assert.equal(watch.isRunning(A as string), null, 'no engine, no answer');
  engine.running = [A as string];
  await engine.start();
  watch.start();
  await waitFor('list', 2_000, () => seen.includes('listed'));
  assert.deepEqual([watch.isRunning(A as string), watch.isRunning(B as string)], [true, false]);
  engine.event('start', B as string);
  // Half an event, then its rest; podman's words; what is none.
  const died = JSON.stringify({ Type: 'container', status: 'died', Actor: { ID: A } });
  engine.say(`${died.slice(0, 20)}`);
  engine.say(`${died.slice(20)}\ngarbage\n{}\nnull\n{"Action":"die"}\n`);
  engine.event('exec_start', A as string);
  await waitFor('events', 2_000, () => seen.length === 3);
  assert.deepEqual(seen, ['listed', 'started b', 'died a']);
  assert.deepEqual([watch.isRunning(A as string), watch.isRunning(B as string)], [false, true]);
  engine.stop();
  await waitFor('loss', 2_000, () => watch.isRunning(B as string) === null);
  engine.running = [];
  await engine.start();
  await waitFor('new list', 5_000, () => seen.at(-1) === 'listed' && seen.length === 4);
  assert.equal(watch.isRunning(B as string), false);
});
