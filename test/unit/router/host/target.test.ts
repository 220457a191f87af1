/** In which order a target is looked for, and that handles do not leak on refusal. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NetnsHandle, NetnsTool } from '../../../../router/host/ports.js';
import { identifyTarget, openTarget, type TargetModules } from '../../../../router/host/target.js';

const HOST_INODE = 1;
const CONTAINER = 'ab'.repeat(32);

function modules(open: string[]): TargetModules {
  const netns: NetnsTool = {
    host: { path: null, inode: HOST_INODE, close: () => {} },
    open: (path): NetnsHandle => {
      open.push(path);
      const close = (): void => {
        open.splice(open.indexOf(path), 1);
      };
      const inode = { '/proc/1/ns/net': HOST_INODE, '/run/netns/c1': 8, '/proc/45/ns/net': 8 };
      return { path, inode: (inode as Record<string, number>)[path] ?? 7, close };
    },
    findNamed: (name) => (['c1', '42'].includes(name) ? `/run/netns/${name}` : null),
    findProcess: (pid) => ([1, 42, 43, 44, 45].includes(pid) ? `/proc/${pid}/ns/net` : null),
    nameOf: (inode) => (inode === 8 ? 'c1' : null),
    containerOf: (pid) => (pid === 44 ? CONTAINER : null),
    isSame: () => false,
    list: () => [],
    announce: () => Promise.resolve(),
    isCaptured: () => false,
    hasLegacyFilter: () => false,
  };
  const pids: Record<string, number> = { '123456789012': 43, dead: 99 };
  const engines = {
    description: 'none',
    names: async () => new Map(),
    find: async (id: string) => {
      const pid = pids[id];
      return pid === undefined ? null : { pid, id: CONTAINER };
    },
  };
  return { netns, engines };
}

test('path, name, process id, container, in this order', async () => {
  const expected: Record<string, string> = {
    '/some/path': '/some/path',
    c1: '/run/netns/c1',
    '42': '/run/netns/42',
    '43': '/proc/43/ns/net',
    '123456789012': '/proc/43/ns/net',
  };
  for (const [target, path] of Object.entries(expected)) {
    assert.equal((await openTarget(target, modules([]))).path, path);
  }
});

test('one workload has one name for its addresses, however it is spelled', async () => {
  const expected: Record<string, string> = {
    c1: 'c1',
    '/run/netns/c1': 'c1',
    '45': 'c1',
    '44': CONTAINER,
    '/proc/44/ns/net': CONTAINER,
    '123456789012': CONTAINER,
    '43': '43',
    '/some/path': '/some/path',
  };
  for (const [target, ident] of Object.entries(expected)) {
    const open: string[] = [];
    const identified = await identifyTarget(target, modules(open));
    assert.equal(identified.ident, ident, target);
    identified.netns.close();
    assert.deepEqual(open, []);
  }
});

test('refusals, with nothing left open', async () => {
  const expected: Record<string, string> = {
    '': 'target-invalid',
    'a/b': 'target-invalid',
    'a\0b': 'target-invalid',
    ['x'.repeat(5000)]: 'target-invalid',
    '1': 'host-netns',
    '77': 'target-not-found',
    nobody: 'target-not-found',
    dead: 'container-not-running',
  };
  for (const [target, code] of Object.entries(expected)) {
    const open: string[] = [];
    await assert.rejects(
      openTarget(target, modules(open)),
      (error: { code: string }) => error.code === code,
      target,
    );
    assert.deepEqual(open, []);
  }
});
