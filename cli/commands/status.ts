/** `weave status [SUB]`: the router's pages. Source: reference/cli.md 5. */
import { call } from '../client.js';
import type { Command, CommandContext } from '../command.js';
import { EXIT, UsageFailure } from '../exit.js';
import { parseWords } from '../options.js';
import { npcStatus } from './npc.js';

/** Sub-page to the part of the report that holds its data. */
const PAGES: ReadonlyMap<string, string> = new Map([
  ['targets', '.Router.Targets'],
  ['connections', '.Router.Connections'],
  ['peers', '.Router.Peers'],
  ['dns', '.DNS'],
  ['ipam', '.IPAM'],
]);

export const status: Command = {
  name: 'status',
  usage: ['status [targets | connections | peers | dns | ipam | npc]'],
  async run(words, context) {
    const { positionals } = parseWords(words, {});
    const [sub] = positionals;
    if (positionals.length > 1) throw new UsageFailure();
    if (sub === 'npc') return await npcStatus(context);
    if (sub !== undefined && !PAGES.has(sub)) {
      throw new UsageFailure(`Invalid 'weave status' sub-command: ${sub}`);
    }
    if (context.json) {
      context.stdout(`${await jsonPage(sub, context)}\n`);
      return EXIT.ok;
    }
    const path = sub === undefined ? '/status' : `/status/${sub}`;
    const page = await call(context.client, { method: 'GET', path }, EXIT.failed);
    context.stdout(sub === undefined ? `\n${page}\n` : page);
    return EXIT.ok;
  },
};

/** The report's own text where it can be, since it holds numbers beyond a double. */
async function jsonPage(sub: string | undefined, context: CommandContext): Promise<string> {
  const part = async (field: string): Promise<string> =>
    await call(
      context.client,
      { method: 'GET', path: '/report', query: [['format', `{{json ${field}}}`]] },
      EXIT.failed,
    );
  if (sub === undefined) return await part('.');
  // Answers 404 for a part that is off, which a template can't tell from an empty one.
  await call(context.client, { method: 'GET', path: `/status/${sub}` }, EXIT.failed);
  const text = await part(PAGES.get(sub) as string);
  if (text === 'null') return '[]';
  if (sub !== 'connections') return text;
  const connections = JSON.parse(text) as { readonly Address: string }[];
  const extras = JSON.parse(await part('.WeaveNet.Connections')) as { readonly Address: string }[];
  return JSON.stringify(
    connections.map((connection) => ({
      ...extras.find((extra) => extra.Address === connection.Address),
      ...connection,
    })),
  );
}
