/** What `npm run package` builds, and out of what. Paths are relative to the built tree. */

export type Architecture = 'x64' | 'arm64';

/** Programs that a runtime starts anew for each call: Bun starts in a fraction of Node's time. */
export const QUICK_STARTERS: readonly { readonly name: string; readonly entry: string }[] = [
  { name: 'weave-net', entry: 'k8s/cni/io/weave-net-bun.js' },
];

/** Programs of one Node executable, which is told by its name which of them it is. */
export const NODE_PROGRAMS: readonly {
  readonly name: string;
  readonly entry: string;
  /** Where the bundle lies: files beside it are found by relative addresses. */
  readonly bundle: string;
}[] = [
  { name: 'weaver', entry: 'router/main.js', bundle: 'router/main.js' },
  { name: 'weave', entry: 'cli/weave.js', bundle: 'cli/io/weave.js' },
  { name: 'weave-npc', entry: 'k8s/npc/daemon/main.js', bundle: 'k8s/npc/daemon/main.js' },
];

/** Packages that cannot be bundled: code of the processor's, or asked for while running. */
export const UNBUNDLED: readonly string[] = [
  'libsodium-wrappers',
  'sodium-native',
  'koffi',
  'pino',
  'yaml',
];

const BUN_VERSION = '1.4.5';

/** npm packages of Bun itself; nothing of them runs but the executable. */
export const BUN_PACKAGES: Readonly<Record<Architecture, string>> = {
  // Runs on processors without AVX2 too.
  x64: `@oven/bun-linux-x64-baseline@${BUN_VERSION}`,
  arm64: `@oven/bun-linux-aarch64@${BUN_VERSION}`,
};
