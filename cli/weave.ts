#!/usr/bin/env node
/** The command `weave`. See README.md in this folder. */

import { createHostActions } from './io/host.js';
import { httpClient, placesToTry } from './io/http-client.js';
import { run } from './run.js';

const argv = process.argv.slice(2);
// Overwrites the arguments in the process list: one may be a password.
process.title = 'weave';
// A reader that has gone, as `head` does, is no failure.
process.stdout.on('error', () => process.exit(0));

process.exitCode = await run(argv, {
  connect: (socket) => httpClient(placesToTry(socket, process.env)),
  host: createHostActions(),
  env: process.env,
  stdout: (text) => process.stdout.write(text),
  stderr: (text) => process.stderr.write(text),
});
