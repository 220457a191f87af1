/** `weave prime` waits until addresses can be allocated; `weave rmpeer` takes over a dead peer's. */
import { call } from '../client.js';
import { type Command, printResult } from '../command.js';
import { CommandFailure, EXIT, UsageFailure } from '../exit.js';
import { parseWords } from '../options.js';

export const prime: Command = {
  name: 'prime',
  usage: ['prime'],
  async run(words, context) {
    if (words.length > 0) throw new UsageFailure();
    const answer = call(context.client, { method: 'GET', path: '/ring', timeoutMs: null });
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
  usage: ['rmpeer PEER...'],
  async run(words, context) {
    const { positionals: peers } = parseWords(words, {});
    if (peers.length === 0) throw new UsageFailure();
    for (const peer of peers) {
      const path = `/peer/${encodeURIComponent(peer)}`;
      const text = await call(context.client, { method: 'DELETE', path }, EXIT.failed);
      printResult(context, text, { peer, answer: text.trimEnd() });
    }
    return EXIT.ok;
  },
};
