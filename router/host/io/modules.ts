/** The real modules of HostNetwork. */
import type { Logger } from '../../../core/log.js';
import type { HostModules } from '../ports.js';
import { createContainerEngines } from './container-engines.js';
import { DEFAULT_ENGINE_SOCKETS } from './engine-api.js';
import { ipTool } from './ip-tool.js';
import { createNetnsTool } from './netns-tool.js';
import { nftTool } from './nft-tool.js';
import { createSysctlTool } from './sysctl-tool.js';

export interface HostModulesOptions {
  /** `--proc-path`; default `/proc`. */
  readonly procPath?: string;
  /** Unix sockets with Docker's API, asked in order; an empty list switches that off. */
  readonly engineSockets?: readonly string[];
  /** Another namespace in the place of the router's own; for tests that hold several hosts. */
  readonly hostNetnsPath?: string;
}

export function createHostModules(options: HostModulesOptions, log: Logger): HostModules {
  const procPath = options.procPath ?? '/proc';
  const { hostNetnsPath } = options;
  return {
    ip: ipTool,
    nft: nftTool,
    netns: createNetnsTool(
      hostNetnsPath === undefined ? { procPath } : { procPath, hostNetnsPath },
    ),
    sysctl: createSysctlTool(procPath),
    engines: createContainerEngines(options.engineSockets ?? DEFAULT_ENGINE_SOCKETS),
    log,
  };
}
