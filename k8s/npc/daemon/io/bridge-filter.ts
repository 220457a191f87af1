/** Whether frames between pods of one node pass the packet filter at all. */
import { readFileSync } from 'node:fs';
import { WeaveError } from '../../../../core/errors.js';

const FOLDER = '/proc/sys/net/bridge';
const SETTINGS = ['bridge-nf-call-iptables', 'bridge-nf-call-ip6tables'];

/** @throws {WeaveError} `bridge-not-filtered` with what to do. */
export function requireFilteredBridge(): void {
  for (const name of SETTINGS) {
    let value: string;
    try {
      value = readFileSync(`${FOLDER}/${name}`, 'utf8').trim();
    } catch {
      const text = 'the kernel module br_netfilter is not loaded: run "modprobe br_netfilter"';
      throw new WeaveError('bridge-not-filtered', `policies can't be enforced: ${text}`);
    }
    if (value === '1') continue;
    throw new WeaveError(
      'bridge-not-filtered',
      `policies can't be enforced between pods of this node: set net.bridge.${name} to 1`,
    );
  }
}
