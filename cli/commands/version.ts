/** `weave version`: of the running router, else of the installed one. */
import { RouterUnreachable } from '../client.js';
import { type Command, printResult } from '../command.js';
import { EXIT, UsageFailure } from '../exit.js';

export const version: Command = {
  name: 'version',
  usage: ['version'],
  async run(words, context) {
    if (words.length > 0) throw new UsageFailure();
    const text = await runningVersion(context.client).catch((error: unknown) => {
      if (error instanceof RouterUnreachable) return context.host.version;
      throw error;
    });
    printResult(context, `weave ${text}\n`, { version: text });
    return EXIT.ok;

    async function runningVersion(client: typeof context.client): Promise<string> {
      const query = [['format', '{{ .Version }}']] as const;
      const answer = await client.request({ method: 'GET', path: '/report', query });
      return answer.status === 200 ? answer.body : context.host.version;
    }
  },
};
