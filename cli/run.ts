/**
 * From words to an exit code: finds the verb, takes out what all verbs share, and turns failures
 * into texts. Source: reference/cli.md 1, 2.
 */
import { DEFAULT_NPC_SOCKET_PATH } from '../router/api-types.js';
import type { RouterClient } from './client.js';
import type { Command, CommandContext } from './command.js';
import { attach, detach } from './commands/attach.js';
import { connect, forget } from './commands/connect.js';
import { dnsAdd, dnsArgs, dnsLookup, dnsRemove } from './commands/dns.js';
import { expose, hide } from './commands/expose.js';
import { ipam } from './commands/ipam.js';
import { launch } from './commands/launch.js';
import { npc } from './commands/npc.js';
import { prime, rmpeer } from './commands/prime.js';
import { ps } from './commands/ps.js';
import { report } from './commands/report.js';
import { status } from './commands/status.js';
import { reset, stop } from './commands/stop.js';
import { version } from './commands/version.js';
import { CommandFailure, EXIT, UsageFailure } from './exit.js';
import type { HostActions } from './host-actions.js';
import { ABSENT, REMOVED, usageText } from './usage.js';

export const commands: readonly Command[] = [
  version,
  launch,
  stop,
  reset,
  connect,
  forget,
  prime,
  rmpeer,
  ipam,
  npc,
  attach,
  detach,
  expose,
  hide,
  dnsAdd,
  dnsRemove,
  dnsLookup,
  dnsArgs,
  status,
  report,
  ps,
];

export interface RunModules {
  /** @param socket of `--socket`, or null. */
  readonly connect: (socket: string | null) => RouterClient;
  readonly host: HostActions;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
}

interface Shared {
  readonly words: readonly string[];
  readonly socket: string | null;
  readonly json: boolean;
}

/** @returns the exit code; throws only what is a fault of this program. */
export async function run(argv: readonly string[], modules: RunModules): Promise<number> {
  let json = false;
  try {
    const shared = takeShared(argv);
    json = shared.json;
    return await runVerb(shared, modules);
  } catch (error) {
    if (!(error instanceof CommandFailure)) throw error;
    if (json) {
      const failure = { error: error.message, exitCode: error.exitCode };
      modules.stderr(`${JSON.stringify(failure)}\n`);
    } else {
      if (error.message !== '') modules.stderr(`${error.message}\n`);
      if (error instanceof UsageFailure) modules.stderr(usageText(commands));
    }
    return error.exitCode;
  }
}

async function runVerb({ words, socket, json }: Shared, modules: RunModules): Promise<number> {
  const [verb, ...rest] = words;
  const isHelp = (word: string | undefined): boolean => word === 'help' || word === '--help';
  // `launch --help` is a question to the daemon, `version --help` a wrong argument.
  const helpOfVerb = rest.includes('--help') && verb !== 'launch' && verb !== 'version';
  if (isHelp(verb) || helpOfVerb) {
    modules.stderr(usageText(commands));
    return EXIT.ok;
  }
  if (verb === undefined) throw new UsageFailure();
  if (REMOVED.has(verb)) {
    throw new CommandFailure(
      EXIT.failed,
      `The 'weave ${verb}' command has been removed as of Weave Net 2.0.\n` +
        "Use 'weave launch', 'weave stop' and 'weave attach' instead.",
    );
  }
  const absent = ABSENT.get(verb);
  if (absent !== undefined) throw new CommandFailure(EXIT.failed, `weave ${verb}: ${absent}`);
  const command = commands.find(({ name }) => name === verb);
  if (command === undefined) throw new UsageFailure(`Unknown 'weave' command: ${verb}`);
  const context: CommandContext = {
    client: modules.connect(socket ?? daemonAddress(verb, rest)),
    npc: modules.connect(socket ?? modules.env['WEAVE_NPC_SOCKET'] ?? DEFAULT_NPC_SOCKET_PATH),
    host: modules.host,
    stdout: modules.stdout,
    note: (text) => modules.stderr(`${text}\n`),
    json,
    env: modules.env,
    socketOption: socket,
  };
  return await command.run(rest, context);
}

/** The router that `launch` starts may be told to listen elsewhere: then it is awaited there. */
function daemonAddress(verb: string, words: readonly string[]): string | null {
  if (verb !== 'launch') return null;
  const at = words.findLastIndex((word) => /^--http-addr(=|$)/.test(word));
  if (at < 0) return null;
  const word = words[at] as string;
  const value = word.includes('=') ? word.slice(word.indexOf('=') + 1) : (words[at + 1] ?? '');
  return value === '' ? null : value;
}

/** `--local`, `--socket` and `--output` may stand before or behind the verb, up to `--`. */
function takeShared(argv: readonly string[]): Shared {
  const words: string[] = [];
  let socket: string | null = null;
  let output = 'text';
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i] as string;
    if (word === '--') {
      words.push(...argv.slice(i));
      break;
    }
    // Remote mode was a container's; both forms speak to the router of this host.
    if (word === '--local' && words.length === 0) continue;
    const match = /^--(socket|output)(?:=(.*))?$/.exec(word);
    if (match === null) {
      words.push(word);
      continue;
    }
    const value = match[2] ?? argv[++i];
    if (value === undefined) throw new UsageFailure(`${word}: expected a value after it`);
    if (match[1] === 'socket') socket = value;
    else output = value;
  }
  if (output !== 'text' && output !== 'json') {
    throw new CommandFailure(EXIT.badInput, `--output: expected text or json, got "${output}"`);
  }
  return { words, socket, json: output === 'json' };
}
