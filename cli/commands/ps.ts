/** `weave ps [NAME...]`: what is attached, this host first. Source: reference/cli.md 5. */
import type { AttachmentView } from '../../router/api-types.js';
import { findAttachment, shownName } from '../attachment-names.js';
import { call } from '../client.js';
import { type Command, printResult } from '../command.js';
import { EXIT } from '../exit.js';
import { parseWords } from '../options.js';

export const ps: Command = {
  name: 'ps',
  usage: ['ps [NETNS|/PATH|PID|CONTAINER...]'],
  async run(words, context) {
    const { positionals: names } = parseWords(words, {});
    const body = await call(context.client, { method: 'GET', path: '/attachments' });
    const { attachments } = JSON.parse(body) as { attachments: AttachmentView[] };
    const line = (one: AttachmentView): string => [shownName(one), one.mac, ...one.cidrs].join(' ');
    if (names.length === 0) {
      printResult(context, attachments.map((one) => `${line(one)}\n`).join(''), attachments);
      return EXIT.ok;
    }
    const chosen = names.map((name) => findAttachment(attachments, name));
    // Who is not attached gets an empty line, as the original has it.
    const text = chosen.map((one) => `${one === undefined ? '' : line(one)}\n`).join('');
    printResult(
      context,
      text,
      chosen.filter((one) => one !== undefined),
    );
    return EXIT.ok;
  },
};
