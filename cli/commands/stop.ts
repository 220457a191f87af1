/** `weave stop` and `weave reset`. Source: reference/cli.md 4 "stop, reset". */
import { call } from '../client.js';
import { type Command, type CommandContext, printResult } from '../command.js';
import { CommandFailure, EXIT, UsageFailure } from '../exit.js';
import { parseWords } from '../options.js';
import { findRouter, type RunningRouter } from './launch.js';

const STOP_TIMEOUT_MS = 10_000;
const RESET_TIMEOUT_MS = 60_000;
const POLL_MS = 50;
/** Until the news of the hand-over has left. */
const HAND_OVER_MS = 500;

export const stop: Command = {
  name: 'stop',
  usage: ['stop'],
  async run(words, context) {
    if (words.length > 0) throw new UsageFailure();
    const router = await findRouter(context);
    if (router === null) {
      context.note('Weave is not running (ignore on Kubernetes).');
    } else {
      await stopRouter(router, context);
    }
    printResult(context, '', { stopped: router !== null });
    return EXIT.ok;
  },
};

export const reset: Command = {
  name: 'reset',
  usage: ['reset [--force]'],
  async run(words, context) {
    const { positionals, switches } = parseWords(words, { switches: ['force'] });
    if (positionals.length > 0) throw new UsageFailure();
    const router = await findRouter(context);
    if (router !== null) {
      const { client } = context;
      // Hands our address ranges to another peer first, while there are connections.
      await call(client, { method: 'DELETE', path: '/peer' });
      await context.host.sleep(HAND_OVER_MS);
      await call(client, { method: 'POST', path: '/reset', timeoutMs: RESET_TIMEOUT_MS });
      await stopRouter(router, context);
    } else {
      if (!switches.has('force')) {
        throw new CommandFailure(
          EXIT.failed,
          'ERROR: weave is not running; unable to remove from cluster.\n' +
            "Use 'weave reset --force' to clean up this host all the same.",
        );
      }
      if (!context.host.isRoot) {
        throw new CommandFailure(EXIT.failed, "weave must be run as 'root' when run locally");
      }
      for (const problem of context.host.cleanUp()) context.note(`Warning: ${problem}`);
    }
    printResult(context, '', { reset: true });
    return EXIT.ok;
  },
};

/**
 * Asks, waits, and ends it by force when it does not go. Any user may answer on the port while no
 * router runs, and name the process of somebody else: then nothing is waited for or killed.
 */
async function stopRouter(router: RunningRouter, context: CommandContext): Promise<void> {
  const { client, host } = context;
  await call(client, { method: 'POST', path: '/stop' });
  if (!host.isRouter(router.pid)) {
    if (host.isAlive(router.pid)) {
      context.note(`Warning: process ${router.pid} is no router; what answers there is not ours`);
    }
    return;
  }
  const deadlineMs = host.nowMs() + STOP_TIMEOUT_MS;
  while (host.isAlive(router.pid)) {
    if (host.nowMs() > deadlineMs) {
      context.note(`Warning: router ${router.pid} did not stop in time and was killed`);
      host.kill(router.pid);
      return;
    }
    await host.sleep(POLL_MS);
  }
}
