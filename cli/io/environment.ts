/** The environment that the daemon starts with. */
import type { LaunchRequest } from '../host-actions.js';

/**
 * The password travels in a variable: only root and the process itself can read it there, and the
 * daemon drops it at once.
 */
export function daemonEnvironment(request: LaunchRequest): NodeJS.ProcessEnv {
  const { WEAVE_PASSWORD: _given, ...env } = process.env;
  return request.password === null ? env : { ...env, WEAVE_PASSWORD: request.password };
}
