/** Looks up the targets that users name: `host[:port]` → the address the dialer works with. */
import { lookup } from 'node:dns/promises';
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { errorText, RequestError } from '../../core/errors.js';
import type { ConnectItem } from '../peer/dial.js';
import { parseTargetAddress } from '../peer/target-address.js';

const SERVICES_FILE = '/etc/services';

/**
 * Resolves once, IPv4 first: the data path speaks only that.
 * @throws {RequestError} `target-invalid`, `target-unresolved` or `target-port-unknown`.
 */
export async function resolveTarget(text: string): Promise<ConnectItem> {
  const { host, port } = parseTargetAddress(text);
  return { text, ip: await resolveHost(host), port: port === null ? null : await portOf(port) };
}

async function resolveHost(host: string): Promise<string> {
  if (isIP(host) !== 0) return host;
  try {
    const addresses = await lookup(host, { all: true });
    const best = addresses.find(({ family }) => family === 4) ?? addresses[0];
    if (best !== undefined) return best.address;
  } catch (error) {
    throw new RequestError('target-unresolved', `lookup ${host}: ${lookupText(error)}`);
  }
  throw new RequestError('target-unresolved', `lookup ${host}: no such host`);
}

function lookupText(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'ENOTFOUND' || code === 'ENODATA') return 'no such host';
  if (code === 'EAI_AGAIN') return 'temporary failure in name resolution';
  return errorText(error);
}

/** A number, or the name of a TCP service as the system's table has it. */
async function portOf(port: string): Promise<number> {
  if (/^\d+$/.test(port)) return Number(port);
  const table = await readFile(SERVICES_FILE, 'utf8').catch(() => '');
  for (const line of table.split('\n')) {
    const [name, value, ...aliases] = line.replace(/#.*/, '').trim().split(/\s+/);
    const [number, protocol] = (value ?? '').split('/');
    if (protocol === 'tcp' && [name, ...aliases].includes(port)) return Number(number);
  }
  throw new RequestError('target-port-unknown', `lookup tcp/${port}: unknown port`);
}
