/**
 * The plugin: reads what the runtime says, asks the router, prints the answer. It knows no more
 * than it must, since a runtime starts it for every pod. DEL never needs the router: what it has to
 * do is then left for it on disk. Source: CNI specification 1.1.0 sections 2 and 4.
 */
import {
  attachmentIdent,
  CniCode,
  CniError,
  type CniReply,
  type CniRequest,
  type Command,
  DEFAULT_VERSION,
  isForeignIpam,
  type Plugin,
  SUPPORTED_VERSIONS,
} from './protocol.js';

const COMMANDS: ReadonlySet<string> = new Set(['ADD', 'DEL', 'CHECK', 'STATUS', 'GC']);
const CONTAINER_ID = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/;
/** What the kernel takes, without what would be a path. */
const INTERFACE_NAME = /^[A-Za-z_][A-Za-z0-9_.-]{0,14}$/;

export interface PluginModules {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdin: () => Promise<string>;
  /** @returns null if no router answers. */
  readonly ask: (request: CniRequest) => Promise<CniReply | null>;
  /** Leaves a DEL for the router; on disk when it resolves. @param key one file for each. */
  readonly leave: (key: string, request: CniRequest) => Promise<void>;
  /** Runs another plugin found in CNI_PATH. @returns its output. @throws {CniError} its error. */
  readonly delegate: (type: string, command: Command, stdin: string) => Promise<string>;
}

export interface PluginOutput {
  readonly stdout: string;
  readonly exitCode: number;
}

export async function runPlugin(plugin: Plugin, modules: PluginModules): Promise<PluginOutput> {
  let version = DEFAULT_VERSION;
  try {
    const command = modules.env['CNI_COMMAND'] ?? '';
    const stdin = await modules.stdin();
    const config = parseInput(stdin, command);
    if (typeof config['cniVersion'] === 'string') version = config['cniVersion'];
    if (command === 'VERSION') return print(versions(version));
    const request = makeRequest(plugin, command, config, modules.env);
    return print(await perform(request, stdin, modules));
  } catch (error) {
    const isOurs = error instanceof CniError;
    const code = isOurs ? error.code : CniCode.failed;
    const msg = error instanceof Error ? error.message : String(error);
    const details = isOurs && error.details !== '' ? { details: error.details } : {};
    return { ...print({ cniVersion: version, code, msg, ...details }), exitCode: 1 };
  }
}

const versions = (version: string): object => ({
  cniVersion: (SUPPORTED_VERSIONS as readonly string[]).includes(version)
    ? version
    : SUPPORTED_VERSIONS.at(-1),
  supportedVersions: SUPPORTED_VERSIONS,
});

const print = (value: object | null): PluginOutput => ({
  stdout: value === null ? '' : `${JSON.stringify(value)}\n`,
  exitCode: 0,
});

function parseInput(stdin: string, command: string): Record<string, unknown> {
  // Old runtimes ask for the version without any input.
  if (command === 'VERSION' && stdin.trim() === '') return {};
  let value: unknown;
  try {
    value = JSON.parse(stdin);
  } catch (error) {
    throw new CniError(CniCode.decode, 'the network configuration is not JSON', String(error));
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw new CniError(CniCode.decode, 'the network configuration is not an object');
}

function makeRequest(
  plugin: Plugin,
  command: string,
  config: Record<string, unknown>,
  env: PluginModules['env'],
): CniRequest {
  if (!COMMANDS.has(command)) {
    const text = `CNI_COMMAND: "${command}" is unknown`;
    throw new CniError(CniCode.invalidEnvironment, text, 'this program is run by a CNI runtime');
  }
  const hasAttachment = command !== 'STATUS' && command !== 'GC';
  const containerId = env['CNI_CONTAINERID'] ?? '';
  const ifName = env['CNI_IFNAME'] ?? '';
  const netns = env['CNI_NETNS'] ?? '';
  const missing = (name: string, what: string): CniError =>
    new CniError(CniCode.invalidEnvironment, `${name}: expected ${what}`);
  if (hasAttachment && !CONTAINER_ID.test(containerId)) {
    throw missing('CNI_CONTAINERID', 'letters, digits, dots, dashes, underscores');
  }
  if (hasAttachment && !INTERFACE_NAME.test(ifName)) {
    throw missing('CNI_IFNAME', 'the name of an interface');
  }
  if ((command === 'ADD' || command === 'CHECK') && !netns.startsWith('/')) {
    throw missing('CNI_NETNS', 'the path of a network namespace');
  }
  // What a verb has no use for is nobody's business, checked or not.
  const attachment = hasAttachment
    ? { containerId, netns, ifName }
    : { containerId: '', netns: '', ifName: '' };
  return { plugin, command: command as Command, ...attachment, config };
}

async function perform(
  request: CniRequest,
  stdin: string,
  { ask, leave, delegate }: PluginModules,
): Promise<object | null> {
  const { command, config, containerId, ifName, plugin } = request;
  const type = (config['ipam'] as { readonly type?: unknown } | undefined)?.type;
  const foreign = plugin === 'weave-net' && isForeignIpam(type) ? type : null;
  if (foreign === null || command === 'DEL') {
    const reply = await ask(request);
    if (reply === null && command === 'DEL') {
      await leave(attachmentIdent(String(config['name']), containerId, ifName), request);
    }
    const result = reply === null && command === 'DEL' ? null : unwrap(reply, command);
    // The interface is gone before its address is given to another.
    if (foreign !== null) await delegate(foreign, command, stdin);
    return result;
  }
  const ipamText = await delegate(foreign, command, stdin);
  const ipamResult: unknown = command === 'ADD' ? parseInput(ipamText, command) : undefined;
  try {
    return unwrap(await ask({ ...request, ipamResult }), command);
  } catch (error) {
    // Nobody else gives back what the other plugin has given.
    if (command === 'ADD') await delegate(foreign, 'DEL', stdin).catch(() => {});
    throw error;
  }
}

/** @throws {CniError} */
function unwrap(reply: CniReply | null, command: Command): object | null {
  if (reply === null) {
    const code = command === 'STATUS' ? CniCode.notAvailable : CniCode.tryAgainLater;
    const text = 'the Weave router does not answer on this host';
    throw new CniError(code, text, 'it may be starting; else look at its log');
  }
  if ('result' in reply) return reply.result;
  throw new CniError(reply.error.code, reply.error.msg, reply.error.details);
}
