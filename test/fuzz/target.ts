/** What the fuzz runner drives: a function that must survive any bytes. */
export interface FuzzTarget {
  /** Stable, for `--target`. */
  readonly name: string;
  /** Valid inputs to start from; the runner mutates copies. */
  readonly seeds: Uint8Array[];
  /** @throws whatever the code under test must not let out; that is a finding. */
  run(input: Uint8Array): void;
}
