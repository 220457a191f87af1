/** IPv4 and IPv6 addresses and ranges as texts: canonical forms, containment. Source: RFC 5952. */

/** 4 or 16 bytes; null for text that is no address. */
export function addressBytes(text: string): Uint8Array | null {
  if (/^\d{1,3}(\.\d{1,3}){3}$/.test(text)) {
    const parts = text.split('.').map(Number);
    return parts.every((part) => part <= 255) ? Uint8Array.from(parts) : null;
  }
  if (!text.includes(':') || !/^[0-9a-fA-F:.]+$/.test(text)) return null;
  return ipv6Bytes(text);
}

function ipv6Bytes(text: string): Uint8Array | null {
  const halves = text.split('::');
  if (halves.length > 2) return null;
  const [head, tail] = halves.map((half) => groupsOf(half));
  if (head === undefined || head === null || tail === null) return null;
  const rest = tail ?? [];
  const missing = 8 - head.length - rest.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return null;
  const groups = [...head, ...new Array<number>(Math.max(0, missing)).fill(0), ...rest];
  return Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 255]));
}

function groupsOf(half: string): number[] | null {
  if (half === '') return [];
  const groups: number[] = [];
  const words = half.split(':');
  for (const [index, word] of words.entries()) {
    if (word.includes('.')) {
      const bytes = index === words.length - 1 ? addressBytes(word) : null;
      if (bytes === null || bytes.length !== 4) return null;
      const [a = 0, b = 0, c = 0, d = 0] = bytes;
      groups.push((a << 8) | b, (c << 8) | d);
    } else if (/^[0-9a-fA-F]{1,4}$/.test(word)) groups.push(Number.parseInt(word, 16));
    else return null;
  }
  return groups;
}

export const isIpv6 = (text: string): boolean => text.includes(':');

/** Canonical text (RFC 5952 for IPv6). @param bytes 4 or 16 of them. */
export function formatAddress(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.');
  const groups = Array.from(
    { length: 8 },
    (_, index) => ((bytes[index * 2] ?? 0) << 8) | (bytes[index * 2 + 1] ?? 0),
  );
  let best = { start: -1, length: 1 };
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (start + length < 8 && groups[start + length] === 0) length += 1;
    if (length > best.length) best = { start, length };
  }
  const text = (part: readonly number[]): string =>
    part.map((group) => group.toString(16)).join(':');
  if (best.start < 0) return text(groups);
  return `${text(groups.slice(0, best.start))}::${text(groups.slice(best.start + best.length))}`;
}

/** @param text an address. */
export function canonicalAddress(text: string): string {
  const bytes = addressBytes(text);
  return bytes === null ? text : formatAddress(bytes);
}

/** @returns the range with the bits beyond its prefix cleared; null for text that is none. */
export function parseBlock(
  text: string,
): { readonly text: string; readonly masked: boolean } | null {
  const [address = '', prefix = '', more] = text.split('/');
  const bytes = addressBytes(address);
  if (bytes === null || more !== undefined || !/^\d{1,3}$/.test(prefix)) return null;
  const length = Number(prefix);
  if (length > bytes.length * 8) return null;
  let masked = false;
  for (const [index, byte] of bytes.entries()) {
    const bits = Math.min(8, Math.max(0, length - index * 8));
    const kept = byte & (0xff00 >> bits) & 0xff;
    masked ||= kept !== byte;
    bytes[index] = kept;
  }
  return { text: `${formatAddress(bytes)}/${length}`, masked };
}

/** @param block canonical. */
export function blockContains(block: string, address: string): boolean {
  const [network = '', prefix = ''] = block.split('/');
  const [a, b] = [addressBytes(network), addressBytes(address)];
  if (a === null || b === null || a.length !== b.length) return false;
  const length = Number(prefix);
  return a.every((byte, index) => {
    const bits = Math.min(8, Math.max(0, length - index * 8));
    const mask = (0xff00 >> bits) & 0xff;
    return (byte & mask) === ((b[index] ?? 0) & mask);
  });
}
