#!/usr/bin/env node
/** The policy controller `weave-npc`: reads its options, starts, ends on a signal. */
import '../../../core/io/small-heap.js';
import { systemClock } from '../../../core/clock.js';
import { errorCode, errorText } from '../../../core/errors.js';
import { packageVersion } from '../../../core/io/package-version.js';
import { writeToStandardError } from '../../../core/io/standard-error.js';
import type { Logger } from '../../../core/log.js';
import { createLogger } from '../../../router/log.js';
import { interpretNpcStart, type NpcStart } from './options.js';

const STOP_TIMEOUT_MS = 5_000;

async function run({ config, warnings }: NpcStart & { kind: 'run' }): Promise<void> {
  process.umask(0o077);
  const log = createLogger(
    { level: config.logLevel, format: config.logFormat },
    { clock: systemClock, write: writeToStandardError },
  );
  log.info('starting', { version, node: config.nodeName });
  for (const warning of warnings) log.warn(warning);
  // Only here, so that --help and --version answer without loading everything.
  const { Controller } = await import('./io/controller.js');
  const controller = new Controller(config, { log, version });
  const end = (code: number): void => {
    setTimeout(() => process.exit(code), STOP_TIMEOUT_MS).unref();
    void controller.stop().then(() => process.exit(code));
  };
  handleSignals(log, end);
  try {
    await controller.start();
  } catch (error) {
    const fields = { code: errorCode(error), error: errorText(error) };
    log.error('the policy controller could not start; rules of an earlier run stay', fields);
    process.exit(1);
  }
}

/** The rules stay when the process ends: pods keep their protection while it is replaced. */
function handleSignals(log: Logger, end: (code: number) => void): void {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      log.info('stopping; the rules stay', { signal });
      end(0);
    });
  }
  // Unhandled it would open Node's debugger on loopback, to every user of this host.
  process.on('SIGUSR1', () => {});
  process.on('SIGPIPE', () => {});
  const fault = (error: unknown): void => {
    const stack = error instanceof Error ? error.stack : undefined;
    log.error('internal error', { code: errorCode(error), error: errorText(error), stack });
    end(1);
  };
  process.on('uncaughtException', fault);
  process.on('unhandledRejection', fault);
}

const version = packageVersion(import.meta.url);
const request = interpretNpcStart({ argv: process.argv.slice(2), env: process.env, version });
if (request.kind === 'run') await run(request);
else {
  process.stdout.write(request.stdout);
  process.stderr.write(request.stderr);
  process.exitCode = request.code;
}
