/** Exit codes and the exceptions that carry them. Source: reference/cli.md 2. */

export const EXIT = {
  ok: 0,
  /** Usage, and failures without a code of their own. */
  failed: 1,
  /** A value that is not what it should be, and the router's answer 400. */
  badInput: 2,
  /** `launch` with a router running already. */
  alreadyRunning: 3,
  /** The router has no such part: its answer 404. */
  absent: 4,
  /** Nobody listens there. */
  refused: 7,
  /** Nobody answered in time. */
  timeout: 28,
} as const;

/** Ends a command with a text on stderr. */
export class CommandFailure extends Error {
  readonly exitCode: number;

  constructor(exitCode: number, message: string) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** Wrong words: the text, if any, then the usage of the verb. */
export class UsageFailure extends CommandFailure {
  constructor(message = '') {
    super(EXIT.failed, message);
  }
}
