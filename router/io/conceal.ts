/**
 * Removes secrets from what other users and child processes can see of this process. Must run
 * before anything else of the daemon. See password.ts for the reasoning.
 */
import { PASSWORD_VARIABLE, redactArguments } from '../password.js';

/** Arguments and environment as they were given, for the one that interprets them. */
export interface GivenSecrets {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
}

/**
 * Overwrites the argument memory through the process title, replaces the secrets in process.argv
 * and drops the password variable from the environment.
 * @param title e.g. `weaver`: what process lists show from now on.
 * @returns what was there before; keep it no longer than needed.
 */
export function concealSecrets(title: string): GivenSecrets {
  const given = { argv: process.argv.slice(2), env: { ...process.env } };
  process.title = title;
  process.argv.splice(2, Infinity, ...redactArguments(given.argv));
  delete process.env[PASSWORD_VARIABLE];
  return given;
}
