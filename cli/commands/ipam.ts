/** `weave ipam check`: why a request waits, what is wrong, and what would resolve it. */
import { type Command, printResult } from '../command.js';
import { CommandFailure, EXIT, UsageFailure } from '../exit.js';
import { readFindings } from '../waiting.js';

const ALL_WELL = 'Nothing waits and nothing is wrong.';

export const ipam: Command = {
  name: 'ipam',
  usage: ['ipam check'],
  async run(words, context) {
    if (words.length !== 1 || words[0] !== 'check') throw new UsageFailure();
    const findings = await readFindings(context).catch((error: unknown) => {
      if (!(error instanceof CommandFailure) || error.exitCode !== EXIT.absent) throw error;
      throw new CommandFailure(EXIT.absent, 'the allocator of this router is off');
    });
    const sentences = findings.length === 0 ? [ALL_WELL] : findings;
    printResult(context, sentences.map((sentence) => `${sentence}\n`).join(''), { findings });
    return EXIT.ok;
  },
};
