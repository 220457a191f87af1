/**
 * The network configuration that the container runtime of a node reads. Its presence tells the
 * kubelet that the node has a network, so it comes last.
 * Source: CNI specification 1.0.0 section 1; reference/kubernetes.md 2.
 */
export const CONFLIST_FILE = '10-weave.conflist';
/** Of versions before 1.9; with both, runtimes take the first by name. */
export const OLD_CONFIG_FILE = '10-weave.conf';
export const PLUGIN_NAMES = ['weave-net', 'weave-ipam'] as const;

export function conflist(options: { readonly hairpin: boolean }): string {
  const list = {
    cniVersion: '1.0.0',
    name: 'weave',
    plugins: [
      { name: 'weave', type: 'weave-net', hairpinMode: options.hairpin },
      { type: 'portmap', capabilities: { portMappings: true }, snat: true },
    ],
  };
  return `${JSON.stringify(list, null, 2)}\n`;
}
