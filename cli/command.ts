/** What a verb of the command line is, and what it gets to work with. */
import type { RouterClient } from './client.js';
import type { HostActions } from './host-actions.js';

export interface CommandContext {
  readonly client: RouterClient;
  /** The policy controller of this host, `weave-npc`. */
  readonly npc: RouterClient;
  readonly host: HostActions;
  /** Results. Complete text with its newlines. */
  readonly stdout: (text: string) => void;
  /** Everything else; a newline is added. */
  readonly note: (text: string) => void;
  /** `--output json`. */
  readonly json: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** `--socket` as given, for the verb that starts a router. */
  readonly socketOption: string | null;
}

export interface Command {
  readonly name: string;
  /** One line per form, without `weave`. */
  readonly usage: readonly string[];
  /** @returns the exit code. @throws {CommandFailure} from exit.ts */
  run(words: readonly string[], context: CommandContext): Promise<number>;
}

/** Prints a result in the wanted form. */
export function printResult(context: CommandContext, text: string, value: unknown): void {
  context.stdout(context.json ? `${JSON.stringify(value)}\n` : text);
}
