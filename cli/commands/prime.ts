/** `weave prime` waits until addresses can be allocated; `weave rmpeer` takes over a dead peer's. */
import { call } from '../client.js';
import { type Command, printResult } from '../command.js';
import { CommandFailure, EXIT, UsageFailure } from '../exit.js';
import { parseWords } from '../options.js';
import { callPatiently } from '../waiting.js';

/** All peers that own addresses are asked whether they know the dead one. */
const TAKE_OVER_TIMEOUT_MS = 60_000;

export const prime: Command = {
  name: 'prime',
  usage: ['prime'],
  async run(words, context) {
    if (words.length > 0) throw new UsageFailure();
    const answer = callPatiently(context, { method: 'GET', path: '/ring' });
    await answer.catch((error: unknown) => {
      if (!(error instanceof CommandFailure) || error.exitCode !== EXIT.absent) throw error;
      throw new CommandFailure(
        EXIT.absent,
        'the allocator of this router is off: nothing to prime',
      );
    });
    printResult(context, '', { ready: true });
    return EXIT.ok;
  },
};

export const rmpeer: Command = {
  name: 'rmpeer',
  usage: ['rmpeer [--force] PEER...'],
  async run(words, context) {
    const { positionals: peers, switches } = parseWords(words, { switches: ['force'] });
    if (peers.length === 0) throw new UsageFailure();
    const query: [string, string][] = switches.has('force') ? [['force', 'true']] : [];
    for (const peer of peers) {
      const path = `/peer/${encodeURIComponent(peer)}`;
      const timeoutMs = TAKE_OVER_TIMEOUT_MS;
      const text = await call(
        context.client,
        { method: 'DELETE', path, query, timeoutMs },
        EXIT.failed,
      );
      printResult(context, text, { peer, answer: text.trimEnd() });
    }
    return EXIT.ok;
  },
};
