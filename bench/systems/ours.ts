/**
 * Our router, once for each cipher and, with `--engines`, for each engine of the data path that a
 * flag can force. Workloads are attached by the command line, as a user does it.
 */

import { Host, WEAVER } from '../../test/support/lab-host.js';
import { Workload } from '../../test/support/lab-workload.js';
import { run } from '../../test/support/shell.js';
import { waitFor } from '../../test/support/wait.js';
import { parseMetric } from '../parse.js';
import type { Setting } from '../setting.js';
import type { System } from '../system.js';

const MAX_REASON_CHARACTERS = 300;
const PATH_MTU_DEADLINE_MS = 20_000;
const PASSWORD = 'a-password-of-the-benchmark';

interface Variant {
  readonly id: string;
  readonly label: string;
  /** `none` runs without a password. */
  readonly cipher: 'aes-256-gcm' | 'nacl' | 'none';
  /** The first list that the router takes is used, so that older routers are measured too. */
  readonly flags: readonly (readonly string[])[];
  readonly optional?: boolean;
}

const AES = ['--cipher', 'aes-256-gcm'];
const NACL = ['--cipher', 'nacl'];
const VARIANTS: readonly Variant[] = [
  { id: 'ours-aes', label: 'ours, AES-256-GCM', cipher: 'aes-256-gcm', flags: [AES] },
  // Routers that know one cipher only have no flag for it.
  { id: 'ours-nacl', label: 'ours, NaCl', cipher: 'nacl', flags: [NACL, []] },
  { id: 'ours-plain', label: 'ours, plaintext', cipher: 'none', flags: [[]] },
  ...engine('no-uring', ['--no-uring']),
  ...engine('no-gso', ['--no-gso', '--no-gro']),
  ...engine('no-vnet', ['--no-vnet-hdr']),
];

function engine(name: string, flags: readonly string[]): Variant[] {
  const variant = (
    cipher: Variant['cipher'],
    id: string,
    label: string,
    lists: readonly (readonly string[])[],
  ): Variant => ({
    ...{ id: `ours-${id}-${name}`, label: `ours, ${label} ${flags.join(' ')}`, cipher },
    ...{ flags: lists, optional: true },
  });
  return [
    variant('aes-256-gcm', 'aes', 'AES-256-GCM', [[...AES, ...flags]]),
    variant('nacl', 'nacl', 'NaCl', [[...NACL, ...flags], flags]),
    variant('none', 'plain', 'plaintext', [flags]),
  ];
}

/** @returns null, or what the router says against the flags. */
async function objection(flags: readonly string[]): Promise<string | null> {
  const result = await run([process.execPath, WEAVER, '--check-config', ...flags]);
  if (result.code === 0) return null;
  const why = result.stderr.trim().replaceAll(/\s+/g, ' ').slice(0, MAX_REASON_CHARACTERS);
  return `the router refuses ${flags.join(' ') || 'to start'}: ${why}`;
}

async function loopDelayP99Ms(hosts: readonly Host[]): Promise<number | null> {
  let worst: number | null = null;
  for (const host of hosts) {
    const { body } = await host.api('GET', '/metrics');
    const seconds = parseMetric(body, 'weave_event_loop_delay_seconds', '{quantile="0.99"}');
    if (seconds !== null) worst = Math.max(worst ?? 0, seconds * 1000);
  }
  return worst;
}

async function startVariant(setting: Setting, variant: Variant, flags: readonly string[]) {
  const hosts = setting.hosts.map(
    ({ index, netns, address }) => new Host(setting.lab, index, netns, address),
  ) as [Host, Host];
  const [h1, h2] = hosts;
  const args = ['--mtu', `${setting.workloadMtu}`, ...flags];
  const password = variant.cipher === 'none' ? {} : { password: PASSWORD };
  await h1.startRouter({ args, ...password });
  await h2.startRouter({ args, ...password, peers: [h1.address] });
  await h1.waitEstablished(h2);
  // The cipher is told together with the path MTU, a moment after the connection is established.
  const attrs = await waitFor('path MTU', PATH_MTU_DEADLINE_MS, async () => {
    const { Attrs } = await h2.waitEstablished(h1);
    return Attrs?.['mtu'] === undefined ? null : Attrs;
  });
  // A connection with NaCl names no cipher, as the original's does not.
  const cipher = attrs['encrypted'] === true ? (attrs['cipher'] ?? 'nacl') : 'none';
  if (cipher !== variant.cipher) {
    throw new Error(`the connection is not as asked for: ${JSON.stringify(attrs)}`);
  }
  const from = await Workload.attach(h1, 'w1', '10.77.0.1/24');
  const to = await Workload.attach(h2, 'w2', '10.77.0.2/24');
  return {
    from,
    to,
    pids: hosts.map((host) => host.router?.pid ?? -1),
    note: `${flags.join(' ') || 'default flags'}: ${JSON.stringify(attrs)}`,
    loopDelayP99Ms: () => loopDelayP99Ms(hosts),
  };
}

function systemOf(variant: Variant): System {
  let accepted: readonly string[] = [];
  return {
    id: variant.id,
    label: variant.label,
    group: 'ours',
    optional: variant.optional ?? false,
    needs: { nft: 'nftables' },
    refusal: async () => {
      let last: string | null = null;
      for (const flags of variant.flags) {
        last = await objection(flags);
        accepted = flags;
        if (last === null) return null;
      }
      return last;
    },
    start: (setting) => startVariant(setting, variant, accepted),
  };
}

export const ours: readonly System[] = VARIANTS.map(systemOf);
