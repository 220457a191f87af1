/**
 * The name of a container in our domain, from what its engine tells about it.
 * Source: reference/weavedns.md 10.1, docker.md 3.
 */
import { parseHostName } from '../dns/domain-name.js';
import type { ContainerNaming } from './dns-options.js';

/** Linux takes no longer host name. */
const MAX_CHARS = 64;
/** Without a host name of its own a container is called by the start of its id. */
const SHORT_ID_CHARS = 12;

export interface ContainerInfo {
  readonly id: string;
  readonly isRunning: boolean;
  /** Without a slash in front. */
  readonly name: string;
  readonly hostname: string;
  readonly domainname: string;
  readonly labels: Readonly<Record<string, string>>;
}

/**
 * A full host name is taken as it is. Else the label, a host name that somebody chose, or the
 * container's name is rewritten and put into the domain.
 * @returns null if there is nothing that could be a name, or it would be too long for a host.
 */
export function containerFqdn(
  container: ContainerInfo,
  naming: ContainerNaming,
  domain: string,
): string | null {
  const { id, name, hostname, domainname, labels } = container;
  const isChosen = hostname !== '' && hostname !== id.slice(0, SHORT_ID_CHARS);
  const label = naming.label === null ? undefined : labels[naming.label];
  if (label === undefined && isChosen && (domainname !== '' || hostname.includes('.'))) {
    return validName(domainname === '' ? hostname : `${hostname}.${domainname}`);
  }
  const base = label ?? (isChosen ? hostname : name);
  // Go writes groups in braces, too.
  const replacement = naming.replacement.replaceAll(/\$\{(\d+)\}/g, '$$$1');
  const host = base.replace(naming.match, replacement);
  if (host === '' || host.length + domain.length > MAX_CHARS) return null;
  return validName(`${host}.${domain}`);
}

function validName(text: string): string | null {
  try {
    return parseHostName(text);
  } catch {
    return null;
  }
}
