/** The usage text and the verbs of the original that have no counterpart here. */
import type { Command } from './command.js';

export function usageText(commands: readonly Command[]): string {
  const forms = commands.flatMap((command) => command.usage);
  const lines = ['help | --help', ...forms].map((form) => `      ${form}\n`).join('');
  return (
    `Usage:\n\nweave [--local] [--socket PATH] [--output text|json] COMMAND\n\n${lines}\n` +
    '      where PEER is HOST[:PORT], for rmpeer a peer or nickname, and ADDRESS is one with\n' +
    '      prefix, 10.2.1.5/24, or net:10.2.1.0/24 or net:default for one that is chosen.\n' +
    '      WEAVE_SOCKET and WEAVE_HTTP_ADDR say where the router answers.\n'
  );
}

/** Went away in 2.0; the original still says so. */
export const REMOVED: ReadonlySet<string> = new Set([
  'run',
  'start',
  'restart',
  'launch-router',
  'launch-proxy',
  'launch-plugin',
  'stop-router',
  'stop-proxy',
  'stop-plugin',
]);

/** Parts that this version does not have. */
export const ABSENT: ReadonlyMap<string, string> = new Map([
  ...['env', 'config'].map((verb): [string, string] => [
    verb,
    'there is no Docker API proxy in this version',
  ]),
  ...['setup', 'setup-cni'].map((verb): [string, string] => [
    verb,
    'nothing needs setting up but the CNI plugin where a runtime wants it: the Kubernetes image ' +
      'installs it, and npm run package builds it for /opt/cni/bin',
  ]),
  ...['bridge-type', 'docker-bridge-ip', 'attach-bridge'].map((verb): [string, string] => [
    verb,
    'there is only one kind of bridge in this version, and none of Docker is touched',
  ]),
]);
