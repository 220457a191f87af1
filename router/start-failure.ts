/** What the one who started us reads when a start failed. */
import { errorText, WeaveError } from '../core/errors.js';
import type { RouterConfig } from './config.js';

/** Text of a start that failed, for the one who started us. */
export function startFailureText(error: unknown, config: RouterConfig): string {
  if (!(error instanceof WeaveError)) return errorText(error);
  const inUse = ['tcp-eaddrinuse', 'udp-port-in-use', 'router-running'].includes(error.code);
  if (!inUse) return error.message;
  const where =
    config.socketPath === null ? '' : ` ('weave status' asks it over ${config.socketPath})`;
  return `${error.message}; is another router running on this host?${where}`;
}
