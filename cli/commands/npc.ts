/**
 * `weave npc explain FROM TO [PORT]` and `weave status npc`: answers of the policy controller, by
 * its own socket. The router need not run for them.
 */
import { type ApiAnswer, type ApiRequest, call, RouterUnreachable } from '../client.js';
import { type Command, type CommandContext, printResult } from '../command.js';
import { CommandFailure, EXIT, UsageFailure } from '../exit.js';
import { parseWords } from '../options.js';

interface ExplainReply {
  readonly allowed: boolean;
  readonly lines: readonly string[];
}

export const npc: Command = {
  name: 'npc',
  usage: ['npc explain FROM TO [PORT[/tcp|udp|sctp]]'],
  async run(words, context) {
    const { positionals } = parseWords(words, {});
    const [verb, from, to, port = ''] = positionals;
    if (verb !== 'explain' || from === undefined || to === undefined || positionals.length > 4) {
      throw new UsageFailure();
    }
    const query = [
      ['from', from],
      ['to', to],
      ['port', port],
    ] as const;
    const text = await ask(context, { method: 'GET', path: '/explain', query });
    const reply = JSON.parse(text) as ExplainReply;
    printResult(context, reply.lines.map((line) => `${line}\n`).join(''), reply);
    return EXIT.ok;
  },
};

/** The page, or with `--output json` the report behind it. */
export async function npcStatus(context: CommandContext): Promise<number> {
  const path = context.json ? '/report' : '/status';
  context.stdout(await ask(context, { method: 'GET', path }));
  return EXIT.ok;
}

async function ask(context: CommandContext, request: ApiRequest): Promise<string> {
  const client = {
    request: async (wanted: ApiRequest): Promise<ApiAnswer> => {
      try {
        return await context.npc.request(wanted);
      } catch (error) {
        if (!(error instanceof RouterUnreachable)) throw error;
        const code = { refused: EXIT.refused, timeout: EXIT.timeout, denied: EXIT.failed };
        throw new CommandFailure(code[error.reason], sentences[error.reason]);
      }
    },
  };
  return await call(client, request);
}

const sentences = {
  refused: 'the policy controller is not running: nothing answers on its socket (weave-npc)',
  timeout: 'the policy controller does not answer in time',
  denied: "the policy controller's socket is open to root only: run weave as root",
} as const;
