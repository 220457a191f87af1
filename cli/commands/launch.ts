/**
 * `weave launch`: starts the router in the background and returns when it answers. Options are the
 * daemon's; the password never reaches its argument list. Source: reference/cli.md 4 "launch".
 */
import { call, RouterUnreachable } from '../client.js';
import { type Command, type CommandContext, printResult } from '../command.js';
import { CommandFailure, EXIT } from '../exit.js';
import type { LaunchRequest } from '../host-actions.js';

const DEFAULT_LOG_FILE = '/var/log/weave.log';
const START_TIMEOUT_MS = 30_000;
const POLL_MS = 100;

export interface RunningRouter {
  readonly name: string;
  readonly nickname: string;
  readonly pid: number;
}

/** @returns null if nobody answers, or not as a router does. */
export async function findRouter(context: CommandContext): Promise<RunningRouter | null> {
  const format = '{{.WeaveNet.Process.Pid}} {{.Router.Name}} {{.Router.NickName}}';
  try {
    const body = await call(
      { request: (request) => context.client.request(request) },
      { method: 'GET', path: '/report', query: [['format', format]] },
    );
    const [pid = '', name = '', ...nickname] = body.split(' ');
    return { pid: Number(pid), name, nickname: nickname.join(' ') };
  } catch (error) {
    if (error instanceof CommandFailure) return null;
    throw error;
  }
}

export const launch: Command = {
  name: 'launch',
  usage: ['launch [--password-file FILE] [--log-file FILE] [WEAVER OPTION...] [PEER...]'],
  async run(words, context) {
    const { host } = context;
    const request = launchRequest(words, context);
    if (await somethingAnswers(context)) {
      throw new CommandFailure(EXIT.alreadyRunning, 'Weave Net is already running');
    }
    const check = host.checkOptions(request);
    if (check.stderr !== '') context.note(check.stderr.trimEnd());
    if (check.exitCode !== 0) return check.exitCode;
    if (!host.isRoot) {
      throw new CommandFailure(EXIT.failed, "weave must be run as 'root' when run locally");
    }
    const router = await launchAndWait(request, context);
    const text = `${router.name}(${router.nickname}) pid ${router.pid}\n`;
    printResult(context, text, router);
    return EXIT.ok;
  },
};

async function somethingAnswers(context: CommandContext): Promise<boolean> {
  try {
    await context.client.request({ method: 'GET', path: '/status' });
    return true;
  } catch (error) {
    if (error instanceof RouterUnreachable) return error.reason !== 'refused';
    throw error;
  }
}

async function launchAndWait(request: LaunchRequest, context: CommandContext) {
  const { host } = context;
  const launched = host.launch(request);
  const deadlineMs = host.nowMs() + START_TIMEOUT_MS;
  for (;;) {
    const exited = launched.exited();
    if (exited !== null) {
      const log = exited.log === '' ? '' : `\n${exited.log.trimEnd()}`;
      throw new CommandFailure(
        EXIT.failed,
        `the router ended while starting; its log is ${request.logFile}${log}`,
      );
    }
    const router = await findRouter(context);
    // Another router's answer is not ours.
    if (router !== null && (launched.pid === null || launched.pid === router.pid)) return router;
    if (host.nowMs() > deadlineMs) {
      throw new CommandFailure(
        EXIT.timeout,
        `the router does not answer after ${START_TIMEOUT_MS / 1000} s; see ${request.logFile}`,
      );
    }
    await host.sleep(POLL_MS);
  }
}

/** Takes out what is the command's own; the rest goes on unchanged. */
function launchRequest(words: readonly string[], context: CommandContext): LaunchRequest {
  const options: string[] = [];
  const given = context.env['WEAVE_PASSWORD'];
  let password = given === undefined || given === '' ? null : given;
  let logFile = DEFAULT_LOG_FILE;
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as string;
    const match = /^--?(password|log-file|iprange)(?:=([\s\S]*))?$/.exec(word);
    if (word === '--no-restart') {
      context.note('Note: restarts are up to the service manager; --no-restart is not needed');
    } else if (match === null) {
      options.push(word);
    } else {
      const value = match[2] ?? words[++i];
      if (value === undefined) {
        throw new CommandFailure(EXIT.badInput, `${word}: expected a value after it`);
      }
      if (match[1] === 'log-file') logFile = value;
      else if (match[1] === 'password') password = value;
      // What the original's command called it before 1.0.
      else options.push(`--ipalloc-range=${value}`);
    }
  }
  if (context.socketOption !== null) options.unshift(`--socket=${context.socketOption}`);
  return { options, password, logFile };
}
