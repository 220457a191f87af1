/** Ports of a bridge as the kernel lists them. Reading a folder costs nothing; asking `ip` does. */
import { readdirSync } from 'node:fs';

/** @returns null if there is no such bridge. Source: sysfs-class-net, brif. */
export function bridgePorts(bridge: string): readonly string[] | null {
  try {
    return readdirSync(`/sys/class/net/${bridge}/brif`).sort();
  } catch {
    return null;
  }
}
