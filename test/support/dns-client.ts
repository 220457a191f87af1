/** Asks DNS from inside a namespace, with the programs that users have. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import type { Lab } from './lab.js';

export interface DigAnswer {
  readonly status: string;
  /** `qr aa rd ra` */
  readonly flags: readonly string[];
  /** Records of the answer section, words separated by one blank. */
  readonly answers: readonly string[];
  readonly authorities: readonly string[];
}

/** Everything that dig is told before the name. */
const DIG = ['dig', '+time=2', '+tries=1', '+noedns', '+nocookie'];

/** @param words name, type and options of dig. @throws Error if nobody answers. */
export async function dig(
  lab: Lab,
  netns: string,
  server: string,
  ...words: readonly string[]
): Promise<DigAnswer> {
  const { code, stdout } = await lab.exec(netns, [...DIG, `@${server}`, ...words]);
  if (code !== 0) throw new Error(`dig @${server} ${words.join(' ')}: ${code} ${stdout}`);
  return {
    status: /status: (\w+)/.exec(stdout)?.[1] ?? '',
    flags: /flags: ([\w ]*);/.exec(stdout)?.[1]?.split(' ') ?? [],
    answers: section(stdout, 'ANSWER'),
    authorities: section(stdout, 'AUTHORITY'),
  };
}

function section(text: string, name: string): string[] {
  const body = new RegExp(`;; ${name} SECTION:\n([^]*?)(?:\n\n|$)`).exec(text)?.[1];
  return body === undefined ? [] : body.split('\n').map((line) => line.replaceAll(/\s+/g, ' '));
}

/** Data of the answers alone, sorted. */
export async function digShort(
  lab: Lab,
  netns: string,
  server: string,
  ...words: readonly string[]
): Promise<string[]> {
  const { answers } = await dig(lab, netns, server, ...words);
  return answers.map((answer) => answer.split(' ').slice(4).join(' ')).sort();
}

/** What programs in the namespace find as /etc/resolv.conf; goes with the lab. */
export function setResolvConf(lab: Lab, netns: string, text: string): void {
  const folder = `/etc/netns/${netns}`;
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${folder}/resolv.conf`, text);
  lab.onClose(() => rmSync(folder, { recursive: true, force: true }));
}
