/**
 * The error types of the whole program. Each carries a stable `code` that logs, counters and
 * status pages use, so that the text may change without breaking anybody who searches for it.
 */

/** Base of all expected errors. `code` is kebab-case and never changes once released. */
export class WeaveError extends Error {
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** Bytes or text from outside that do not have the shape they should. The reader is unusable. */
export class DecodeError extends WeaveError {}

/** A message from a peer that was well formed but breaks the protocol. The session must end. */
export class ProtocolError extends WeaveError {}

/** A system call failed. `errno` is the positive Linux error number, `syscall` its name. */
export class SysError extends WeaveError {
  readonly errno: number;
  readonly syscall: string;

  constructor(syscall: string, errno: number, errnoName: string, detail = '') {
    super(errnoName, `${syscall}: ${errnoName}${detail === '' ? '' : ` (${detail})`}`);
    this.errno = errno;
    this.syscall = syscall;
  }
}

/** A wrong option, environment variable or line of the configuration file. */
export class ConfigError extends WeaveError {
  /** The option as the user writes it, e.g. `--conn-limit` or `conn-limit in /etc/weave/weave.yaml`. */
  readonly field: string;

  constructor(field: string, message: string) {
    super('config-invalid', `${field}: ${message}`);
    this.field = field;
  }
}

/** A request (command line or API) that cannot be done as asked: exit code 2, HTTP 400. */
export class RequestError extends WeaveError {
  readonly httpStatus: number;

  constructor(code: string, message: string, httpStatus = 400) {
    super(code, message);
    this.httpStatus = httpStatus;
  }
}

/** Text of anything thrown, for a log field or a message to the user. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The stable code of anything thrown; Node's own `code` where there is one. */
export function errorCode(error: unknown): string {
  if (error instanceof WeaveError) return error.code;
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : 'internal-error';
}

/** Marks branches that the types exclude. */
export function unreachable(value: never): never {
  throw new Error(`unreachable: ${String(value)}`);
}
