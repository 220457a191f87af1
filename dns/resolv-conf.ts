/**
 * The name servers of a resolv.conf. Only they matter here; whatever else stands in the file is
 * none of our business and must never stop us. Source: resolv.conf(5), reference/weavedns.md 9.
 */

/** glibc takes three; more than this is a mistake. */
const MAX_SERVERS = 16;

/** @returns the words behind `nameserver`, in order and unchecked. */
export function nameServersOf(text: string): readonly string[] {
  return text
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .flatMap(([word, server]) => (word === 'nameserver' && server !== undefined ? [server] : []))
    .slice(0, MAX_SERVERS);
}

/** Numbers only, with or without a zone: a name would have to be asked for first. */
export function isServerAddress(text: string): boolean {
  return (
    /^\d{1,3}(\.\d{1,3}){3}$/.test(text) || /^[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(%[\w.-]+)?$/.test(text)
  );
}
