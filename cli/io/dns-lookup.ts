/** Asks the router's DNS server, as `weave dns-lookup` does. */
import { Resolver } from 'node:dns/promises';
import { CommandFailure, EXIT } from '../exit.js';

const TIMEOUT_MS = 2000;
const TRIES = 2;
/** There is no such name, or none with an address. */
const NOTHING: ReadonlySet<string> = new Set(['ENOTFOUND', 'ENODATA']);

export async function lookUp(name: string, server: string): Promise<readonly string[]> {
  const resolver = new Resolver({ timeout: TIMEOUT_MS, tries: TRIES });
  resolver.setServers([server]);
  const ask = async (kind: 'resolve4' | 'resolve6'): Promise<readonly string[]> => {
    try {
      return await resolver[kind](name);
    } catch (error) {
      const { code = '', message } = error as Error & { code?: string };
      if (NOTHING.has(code)) return [];
      const isSilent = code === 'ETIMEOUT' || code === 'ECONNREFUSED';
      throw new CommandFailure(
        isSilent ? EXIT.refused : EXIT.failed,
        `the DNS server at ${server} does not answer: ${message}`,
      );
    }
  };
  const [v4, v6] = await Promise.all([ask('resolve4'), ask('resolve6')]);
  return [...v4, ...v6];
}
