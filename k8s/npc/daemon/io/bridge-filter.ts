/** Whether frames between pods of one node pass the packet filter at all. */
import { readFileSync } from 'node:fs';
import { WeaveError } from '../../../../core/errors.js';

const SETTING = '/proc/sys/net/bridge/bridge-nf-call-iptables';

/** @throws {WeaveError} `bridge-not-filtered` with what to do. */
export function requireFilteredBridge(): void {
  let value: string;
  try {
    value = readFileSync(SETTING, 'utf8').trim();
  } catch {
    const text = 'the kernel module br_netfilter is not loaded: run "modprobe br_netfilter"';
    throw new WeaveError('bridge-not-filtered', `policies can't be enforced: ${text}`);
  }
  if (value === '1') return;
  throw new WeaveError(
    'bridge-not-filtered',
    "policies can't be enforced between pods of this node: set " +
      'net.bridge.bridge-nf-call-iptables to 1 (the router does it at its start)',
  );
}
