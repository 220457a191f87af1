/** Order of a node's set-up, and what happens when a step fails. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WeaveError } from '../../../../core/errors.js';
import { type SetUpModules, setUpNode } from '../../../../k8s/node/set-up.js';

const OPTIONS = { nodeName: 'node-a', exposeCidr: null, expectNpc: true, hairpin: true };

/** A node whose steps fail as often as told. */
class FakeNode {
  readonly calls: string[] = [];
  readonly waits: number[] = [];
  readonly logged: string[] = [];
  readonly failures: Map<string, number>;

  constructor(failures: Record<string, number> = {}) {
    this.failures = new Map(Object.entries(failures));
  }

  get modules(): SetUpModules {
    const note = (text: string, fields = {}) => {
      this.logged.push(`${text} ${JSON.stringify(fields)}`);
    };
    return {
      router: {
        notReady: async () => (this.#fails('ready') ? 'parts are starting' : null),
        expose: async () => {
          this.#step('expose');
          return ['10.32.0.1/12'];
        },
      },
      host: {
        filterBridge: async () => this.#step('filter'),
        hasPolicies: async () => !this.#fails('policies'),
        installPlugin: async () => this.#step('plugin'),
        writeConflist: async () => {
          this.#step('conflist');
          return true;
        },
      },
      cluster: {
        notListed: () => (this.#fails('listed') ? 'it was not written yet' : null),
        networkAvailable: async (name) => this.#step(`condition ${name}`),
      },
      log: { error: note, warn: note, info: note, debug: note },
      sleep: async (ms) => {
        this.waits.push(ms);
      },
    };
  }

  #fails(step: string): boolean {
    const left = this.failures.get(step) ?? 0;
    this.failures.set(step, left - 1);
    this.calls.push(left > 0 ? `${step} failed` : step);
    return left > 0;
  }

  #step(step: string): void {
    if (this.#fails(step)) throw new WeaveError('step-failed', `${step} does not work`);
  }
}

test('each step comes after the one before, the condition last', async () => {
  const node = new FakeNode();
  await setUpNode(OPTIONS, node.modules);
  const order = 'ready,listed,expose,filter,policies,plugin,conflist,condition node-a';
  assert.equal(node.calls.join(), order);
  assert.deepEqual(node.waits, []);
});

test('without a policy controller nothing waits for its rules', async () => {
  const node = new FakeNode({ policies: 1000 });
  await setUpNode({ ...OPTIONS, expectNpc: false }, node.modules);
  assert.ok(!node.calls.some((call) => /^(filter|policies)/.test(call)));
});

test('nothing is installed before router and policies are there', async () => {
  const node = new FakeNode({ ready: 3, policies: 2 });
  await setUpNode(OPTIONS, node.modules);
  const ready = ['ready failed', 'ready failed', 'ready failed', 'ready', 'listed', 'expose'];
  const policies = ['filter', 'policies failed', 'policies failed', 'policies'];
  assert.deepEqual(node.calls.slice(0, 10), [...ready, ...policies]);
  // A reason is told once, not every half second.
  assert.equal(node.logged.filter((line) => line.includes('parts are starting')).length, 1);
});

test('a refusal of the API server is tried again, more and more slowly', async () => {
  const node = new FakeNode({ 'condition node-a': 12 });
  await setUpNode(OPTIONS, node.modules);
  assert.equal(node.calls.at(-1), 'condition node-a');
  assert.deepEqual(node.waits.slice(0, 3), [250, 500, 1000]);
  assert.equal(Math.max(...node.waits), 30_000);
  assert.equal(node.calls.filter((call) => call === 'conflist').length, 1);
  assert.equal(node.logged.filter((line) => line.includes('step-failed')).length, 1);
});

test('a record that can not be written holds nothing up for long', async () => {
  const node = new FakeNode({ listed: 1000 });
  await setUpNode(OPTIONS, node.modules);
  assert.equal(node.calls.at(-1), 'condition node-a');
  const waitedMs = node.waits.reduce((sum, ms) => sum + ms, 0);
  assert.ok(waitedMs > 20_000 && waitedMs < 40_000, `${waitedMs}`);
});
