#!/usr/bin/env node
/**
 * The CNI plugins `weave-net` and `weave-ipam`, one program under two names. Settings, for routers
 * that listen elsewhere: WEAVE_SOCKET, and WEAVE_CNI_STATE for the folder of what is left to do.
 */
import { DEFAULT_SOCKET_PATH } from '../../../router/api-types.js';
import { runPlugin } from '../plugin.js';
import { DEFAULT_STATE_FOLDER, pluginNamed } from '../protocol.js';
import { askRouter } from './ask-router.js';
import { delegate } from './delegate.js';
import { leaveRequest } from './leftovers.js';

const { env } = process;
const socketPath = env['WEAVE_SOCKET'] || DEFAULT_SOCKET_PATH;
const folder = env['WEAVE_CNI_STATE'] || DEFAULT_STATE_FOLDER;

async function readInput(): Promise<string> {
  let text = '';
  for await (const chunk of process.stdin.setEncoding('utf8')) text += chunk;
  return text;
}

const { stdout, exitCode } = await runPlugin(pluginNamed(process.argv[1] ?? ''), {
  env,
  stdin: readInput,
  ask: (request) => askRouter(socketPath, request),
  leave: async (key, request) => leaveRequest(folder, key, request),
  delegate: (type, command, stdin) => delegate(type, command, stdin, env),
});
process.exitCode = exitCode;
process.stdout.write(stdout);
