#!/usr/bin/env node
/** The daemon `weaver`: reads its options, starts the router, ends it on a signal. */
import '../core/io/small-heap.js';
import { hostname } from 'node:os';
import { systemClock } from '../core/clock.js';
import { errorCode, errorText } from '../core/errors.js';
import { packageVersion } from '../core/io/package-version.js';
import { writeToStandardError } from '../core/io/standard-error.js';
import type { Logger } from '../core/log.js';
import { formatPeerName } from '../core/peer-name.js';
import { limitArenas } from '../sys/malloc.js';
import { systemRandom } from '../sys/random.js';
import { HANDED_OVER_EXIT_CODE, READY_MESSAGE } from './api-types.js';
import { choosePeerName } from './choose-peer-name.js';
import { interpretStart, type LoadedConfig } from './config.js';
import { concealSecrets, type GivenSecrets } from './io/conceal.js';
import { readLocalFile, readSystemIds } from './io/local-files.js';
import { createLogger } from './log.js';
import { startFailureText } from './start-failure.js';

/** A stop that takes longer is ended by force. */
const STOP_TIMEOUT_MS = 10_000;
/** One for the threads that decide, one for those that carry. */
const MALLOC_ARENAS = 2;

async function run(loaded: LoadedConfig, given: GivenSecrets, version: string): Promise<void> {
  const { config } = loaded;
  process.umask(0o077);
  const log = createLogger(
    { level: config.logLevel, format: config.logFormat },
    { clock: systemClock, write: writeToStandardError },
  );
  log.info('starting', { version, options: loaded.given });
  for (const warning of loaded.warnings) log.warn(warning);
  limitArenas(MALLOC_ARENAS);
  // Only here, so that --help and --check-config answer without loading the whole router.
  const { Router } = await import('./compose.js');
  const end = (code: number): void => {
    setTimeout(() => process.exit(code), STOP_TIMEOUT_MS).unref();
    void router.stop().then(() => process.exit(code));
  };
  const router = new Router(loaded, {
    log,
    version,
    env: given.env,
    onEnd: (fault) => {
      if (fault === null) log.info('stopping, as asked by the control API');
      else log.error('ending', { code: 'part-lost', error: fault });
      end(fault === null ? 0 : 1);
    },
    onHandOver: () => {
      log.info('stopping, another router takes over');
      end(HANDED_OVER_EXIT_CODE);
    },
  });
  handleSignals(log, end);
  try {
    await router.start();
    log.info('ready');
    // To a supervisor that started us with a channel: another router may answer at our addresses.
    process.send?.(READY_MESSAGE);
  } catch (error) {
    log.error('the router could not start', {
      code: errorCode(error),
      error: startFailureText(error, config),
    });
    process.exit(1);
  }
}

function handleSignals(log: Logger, end: (code: number) => void): void {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      log.info('stopping', { signal });
      end(0);
    });
  }
  const describeState = (): void => {
    const resources = process.getActiveResourcesInfo().sort().join(' ');
    const { rss, heapUsed } = process.memoryUsage();
    log.info('state on request', { resources, rss, heapUsed, stack: new Error('here').stack });
  };
  process.on('SIGQUIT', describeState);
  // Unhandled it would open Node's debugger on loopback, to every user of this host.
  process.on('SIGUSR1', describeState);
  process.on('SIGPIPE', () => {});
  const fault = (error: unknown): void => {
    const stack = error instanceof Error ? error.stack : undefined;
    log.error('internal error', { code: errorCode(error), error: errorText(error), stack });
    end(1);
  };
  process.on('uncaughtException', fault);
  process.on('unhandledRejection', fault);
}

/** Without touching the host: what stands in the state file of a run is not read. */
function printPeerName(loaded: LoadedConfig): void {
  const { config } = loaded;
  const { name } = choosePeerName(
    {
      option: config.name,
      bridgeMac: bridgeMac(config.bridge),
      stored: null,
      systemIds: readSystemIds(config.hostRoot),
    },
    systemRandom,
  );
  process.stdout.write(`${formatPeerName(name)}\n`);
}

function bridgeMac(bridge: string): string | null {
  const reading = readLocalFile(`/sys/class/net/${bridge}/address`);
  return reading.ok ? reading.text.trim() : null;
}

const version = packageVersion(import.meta.url);
const given = concealSecrets('weaver');
const request = interpretStart({
  ...given,
  readFile: readLocalFile,
  hostName: hostname(),
  version,
});
switch (request.kind) {
  case 'exit':
    process.stdout.write(request.stdout);
    process.stderr.write(request.stderr);
    process.exitCode = request.code;
    break;
  case 'print-peer-name':
    printPeerName(request.loaded);
    break;
  case 'run':
    await run(request.loaded, given, version);
}
