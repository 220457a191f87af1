/**
 * The CNI plugins as an executable by Bun. Node's modules take Bun several times as long to load as
 * all else together, so it has its own ways of reading, asking and printing here, and what few
 * calls need is loaded by those. Settings and names as in weave-net.ts.
 */
import { errorCode } from '../../../core/errors.js';
import { DEFAULT_SOCKET_PATH } from '../../../router/api-types.js';
import { runPlugin } from '../plugin.js';
import { type CniReply, type CniRequest, DEFAULT_STATE_FOLDER, pluginNamed } from '../protocol.js';
import {
  ANSWER_TIMEOUT_MS,
  CNI_HEADERS,
  CNI_PATH,
  parseAnswer,
  parseFailure,
  tooLate,
} from './answer.js';

/** The little of Bun that is used. Source: its documentation of `fetch` and of files. */
interface BunRuntime {
  readonly stdin: { text(): Promise<string> };
  readonly stdout: object;
  write(destination: object, text: string): Promise<number>;
}
declare const Bun: BunRuntime;

const { env } = process;
const socketPath = env['WEAVE_SOCKET'] || DEFAULT_SOCKET_PATH;
const folder = env['WEAVE_CNI_STATE'] || DEFAULT_STATE_FOLDER;

/** @returns null if nobody answers, or the router ends before it has. @throws {CniError} */
async function ask(request: CniRequest): Promise<CniReply | null> {
  const options: RequestInit & { readonly unix: string } = {
    method: 'POST',
    unix: socketPath,
    headers: CNI_HEADERS,
    body: JSON.stringify(request),
    signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
  };
  let status: number;
  let text: string;
  try {
    const response = await fetch(`http://localhost${CNI_PATH}`, options);
    status = response.status;
    text = await response.text();
  } catch (error) {
    if ((error as Error).name === 'TimeoutError') throw tooLate(socketPath);
    return parseFailure(socketPath, errorCode(error));
  }
  return parseAnswer(socketPath, status, text);
}

const { stdout, exitCode } = await runPlugin(pluginNamed(process.argv0), {
  env,
  ask,
  stdin: () => Bun.stdin.text(),
  leave: async (key, request) => {
    const { leaveRequest } = await import('./leftovers.js');
    leaveRequest(folder, key, request);
  },
  delegate: async (type, command, stdin) => {
    const { delegate } = await import('./delegate.js');
    return await delegate(type, command, stdin, env);
  },
});
await Bun.write(Bun.stdout, stdout);
process.exit(exitCode);
