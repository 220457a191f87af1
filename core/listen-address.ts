/** Addresses of listeners as options give them. */

/** Where a listener binds. `host` null is every address. */
export type ListenAddress =
  | { readonly kind: 'tcp'; readonly host: string | null; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

/** `host:port`, `:port`, `[v6]:port`, `/path`, or nothing for "off". */
export function parseListenAddress(value: string): ListenAddress | null | undefined {
  if (value === '') return null;
  if (value.startsWith('/')) return { kind: 'unix', path: value };
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]*)):(\d{1,5})$/.exec(value);
  if (match === null) return undefined;
  const port = Number(match[3]);
  if (port > 65535) return undefined;
  const host = match[1] ?? match[2] ?? '';
  return { kind: 'tcp', host: host === '' ? null : host, port };
}
