/** All systems in the order of the table, and which of them a run takes. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { BenchOptions } from './options.js';
import type { System } from './system.js';
import { bare } from './systems/bare.js';
import { nebula } from './systems/nebula.js';
import { openvpn } from './systems/openvpn.js';
import { ours } from './systems/ours.js';
import { tinc } from './systems/tinc.js';
import { vxlan } from './systems/vxlan.js';
import { wireguardGo } from './systems/wireguard-go.js';

export const SYSTEMS: readonly System[] = [
  ...[bare, vxlan],
  ...[tinc, openvpn, nebula, wireguardGo],
  ...ours,
];

/** @returns an empty list for `--micro`, and for `--only` words that name nothing. */
export function chosenSystems(options: BenchOptions): System[] {
  const { only, engines, microOnly } = options;
  if (microOnly) return [];
  return SYSTEMS.filter((system) => {
    if (only.includes(system.id)) return true;
    if (system.optional === true && !engines) return false;
    return only.length === 0 || only.includes(system.group);
  });
}

/** A sentence about programs that are missing, or null. */
export function missingPrograms(system: System): string | null {
  const folders = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`.split(':');
  const isThere = (program: string): boolean =>
    folders.some((folder) => folder !== '' && existsSync(join(folder, program)));
  const missing = Object.entries(system.needs).filter(([program]) => !isThere(program));
  if (missing.length === 0) return null;
  const list = missing.map(([program, name]) => `${program} (Debian package ${name})`);
  return `not installed: ${list.join(', ')}`;
}
