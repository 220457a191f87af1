/** Network namespaces for the tests of sys/ and fastdp/io, removed when the test ends. */
import { execFileSync } from 'node:child_process';
import type { TestContext } from 'node:test';
import { resolveNetns } from '../../../sys/netns.js';

let counter = 0;

export function ip(...parts: string[]): string {
  return execFileSync('ip', parts, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

export function sysctl(name: string, key: string, value: string): void {
  execFileSync('ip', ['netns', 'exec', name, 'sysctl', '-qw', `${key}=${value}`]);
}

export interface TestNetns {
  readonly name: string;
  readonly path: string;
  /** Runs the `ip` tool inside. */
  ip(...parts: string[]): string;
}

/** A new namespace with its loopback up. */
export function addNetns(t: TestContext, role: string): TestNetns {
  const name = `wtE${process.pid}-${counter++}${role}`;
  ip('netns', 'add', name);
  t.after(() => ip('netns', 'del', name));
  const inside = (...parts: string[]): string => ip('-n', name, ...parts);
  inside('link', 'set', 'lo', 'up');
  return { name, path: resolveNetns(name), ip: inside };
}

/** A veth cable between two namespaces; each end gets an address and a name. */
export function cable(
  a: TestNetns,
  aName: string,
  aCidr: string | null,
  b: TestNetns,
  bName: string,
  bCidr: string | null,
  mtu = 1500,
): void {
  const ends = ['peer', 'name', bName, 'netns', b.name, 'mtu', String(mtu)];
  a.ip('link', 'add', aName, 'mtu', String(mtu), 'type', 'veth', ...ends);
  for (const [netns, name, cidr] of [
    [a, aName, aCidr],
    [b, bName, bCidr],
  ] as const) {
    if (cidr !== null) netns.ip('addr', 'add', cidr, 'dev', name);
    netns.ip('link', 'set', name, 'up');
  }
}
