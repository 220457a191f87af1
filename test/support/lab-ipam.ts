/** What tests of the allocator ask of a host, over the routes that the original has, too. */
import assert from 'node:assert/strict';
import type { Host } from './lab-host.js';

const LATE_TIMEOUT_MS = 60_000;

/** One line of `/status/ipam`. */
export interface Share {
  readonly peer: string;
  readonly addresses: number;
  readonly unreachable: boolean;
}

/** @param subnet `a.b.c.d/n`; none: the default one. @returns the address with its prefix. */
export async function allocate(host: Host, ident: string, subnet = ''): Promise<string> {
  const path = subnet === '' ? `/ip/${ident}` : `/ip/${ident}/${subnet}`;
  const { status, body } = await host.api('POST', path);
  assert.equal(status, 200, `${host.label} ${path}: ${body}`);
  assert.match(body, /^[\d.]+\/\d+$/, `${host.label} ${path}`);
  return body;
}

/** For a request that has to wait; its failure shows when it is awaited. */
export function allocateLate(host: Host, ident: string): Promise<string> {
  const answer = host
    .api('POST', `/ip/${ident}`, '', {}, LATE_TIMEOUT_MS)
    .then(({ status, body }) => {
      assert.equal(status, 200, `${host.label} ${ident}: ${body}`);
      return body;
    });
  answer.catch(() => {});
  return answer;
}

/** So many at a time, like a host that starts its containers; each with a name of its own. */
export async function allocateMany(
  host: Host,
  count: number,
  atOnce: number,
  prefix = 'c',
): Promise<string[]> {
  const addresses: string[] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < count) {
      const ident = `${prefix}-${next}`;
      next += 1;
      addresses.push(await allocate(host, ident));
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  return addresses;
}

/** Every address that any of the hosts says is held, and by whom. */
export async function ownedOn(...hosts: readonly Host[]): Promise<Map<string, string>> {
  const owned = new Map<string, string>();
  for (const host of hosts) {
    const { body } = await host.api('GET', '/ip');
    const list = JSON.parse(body) as { owned: { containerid: string; addrs: string[] }[] | null };
    for (const { containerid, addrs } of list.owned ?? []) {
      for (const cidr of addrs) {
        const address = cidr.split('/')[0] as string;
        const before = owned.get(address);
        assert.equal(before, undefined, `${address}: ${before} and ${host.label} ${containerid}`);
        owned.set(address, `${host.label} ${containerid}`);
      }
    }
  }
  return owned;
}

export function assertDistinct(cidrs: readonly string[]): void {
  const addresses = cidrs.map((cidr) => cidr.split('/')[0]);
  assert.equal(new Set(addresses).size, addresses.length, 'an address was given twice');
}

export async function sharesOn(host: Host): Promise<Share[]> {
  const { body } = await host.api('GET', '/status/ipam');
  return body
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const match = /^([0-9a-f:]{17})\(.*\) +(\d+) IPs \([\d.]+% of total\) (.*)$/.exec(line);
      assert.ok(match !== null, line);
      const [, peer = '', addresses = '', note = ''] = match;
      return { peer, addresses: Number(addresses), unreachable: note === '- unreachable!' };
    });
}

/** The line `Status:` of the allocator's part of the status page. */
export async function ipamSummary(host: Host): Promise<string> {
  const { body } = await host.api('GET', '/status');
  return /Service: ipam\n +Status: (.*)/.exec(body)?.[1] ?? 'off';
}

export async function findings(host: Host): Promise<readonly string[]> {
  const { body } = await host.api('GET', '/ipam/check');
  return (JSON.parse(body) as { findings: string[] }).findings;
}
