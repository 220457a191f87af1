/**
 * Which peers a starting router calls: those it is given now, or those it remembers.
 * Source: reference/cli.md 4 "launch", 6 "restart.sentinel".
 */

export interface StartTargetsInput {
  /** From command line or configuration file. */
  readonly given: readonly string[];
  /** `--resume` */
  readonly resume: boolean;
  /** What the last run was given, and its list when it ended. */
  readonly stored: {
    readonly given: readonly string[];
    readonly targets: readonly string[];
    /** The last run was not ended by `weave stop`: this start continues it. */
    readonly started: boolean;
  };
}

/**
 * An automatic restart (crash, reboot, `systemctl restart`) keeps what `connect` and `forget`
 * changed; a launch after `weave stop`, or with another peer list than last time, starts from the
 * list it is given. The original looked only for a marker and so ignored a changed list.
 */
export function chooseStartTargets({
  given,
  resume,
  stored,
}: StartTargetsInput): readonly string[] {
  if (resume) return stored.targets;
  const same =
    given.length === stored.given.length && given.every((text, i) => text === stored.given[i]);
  return stored.started && same ? stored.targets : given;
}
