/**
 * Keeps web pages out of the API. A browser on this host can reach loopback: its requests carry an
 * `Origin` (or say that they are cross-site), and after DNS rebinding a `Host` that is a name.
 * Programs send neither.
 */
export interface GuardedHeaders {
  readonly host?: string | undefined;
  readonly origin?: string | undefined;
  readonly fetchSite?: string | undefined;
}

export type Refusal = { readonly reason: 'foreign-origin' | 'foreign-host'; readonly text: string };

/**
 * @param checkHost false where names are legitimate: Unix sockets, and read-only listeners that
 *   are meant for the network.
 * @returns null if the request may pass.
 */
export function refuse(headers: GuardedHeaders, checkHost: boolean): Refusal | null {
  const { host, origin, fetchSite } = headers;
  const foreignOrigin = origin !== undefined && origin !== `http://${host}`;
  if (foreignOrigin || fetchSite === 'cross-site' || fetchSite === 'same-site') {
    return {
      reason: 'foreign-origin',
      text: 'this API does not answer requests of other web pages (header Origin)',
    };
  }
  if (checkHost && host !== undefined && !isLocalHost(host)) {
    return {
      reason: 'foreign-host',
      text: 'this API answers under localhost or an IP address only (header Host)',
    };
  }
  return null;
}

/** Rebinding needs a name under the attacker's control, so every literal address is fine. */
function isLocalHost(host: string): boolean {
  const name = host.replace(/:\d*$/, '');
  return /^(|localhost|\d{1,3}(\.\d{1,3}){3}|\[[0-9a-f:.]+\])$/i.test(name);
}
