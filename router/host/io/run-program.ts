/**
 * Runs one external program to its end, with a time limit, in a given network namespace.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { WeaveError } from '../../../core/errors.js';
import { withNetns } from '../../../sys/netns.js';
import type { NetnsHandle } from '../ports.js';

export interface ProgramResult {
  readonly exitCode: number;
  readonly stdout: string;
  /** Trimmed. */
  readonly stderr: string;
}

export interface ProgramRun {
  readonly program: string;
  readonly args: readonly string[];
  readonly netns: NetnsHandle;
  readonly input?: string;
  /** Debian package that has the program, for the error when it is missing. */
  readonly debianPackage: string;
}

/** A lock held by other software may keep a tool waiting; no healthy run takes this long. */
const TIMEOUT_MS = 20_000;
/** Some thousand interfaces with all details fit; more output is refused. */
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;

/**
 * @returns whatever the exit code is.
 * @throws {WeaveError} `tool-missing`, `tool-timeout`, `tool-output-too-long`, `tool-failed`
 */
export function runProgram(run: ProgramRun): Promise<ProgramResult> {
  return new Promise((resolve, reject) => {
    const child = start(run);
    const stdout = collect(child, child.stdout);
    const stderr = collect(child, child.stderr);
    let failure: WeaveError | null = null;
    const timer = setTimeout(() => {
      failure = new WeaveError('tool-timeout', `"${run.program}" did not end in ${TIMEOUT_MS} ms`);
      child.kill('SIGKILL');
    }, TIMEOUT_MS);
    child.on('error', (error: NodeJS.ErrnoException) => {
      clearTimeout(timer);
      reject(startError(run, error));
    });
    child.on('close', (exitCode, signal) => {
      clearTimeout(timer);
      if (failure === null && (stdout.isFull() || stderr.isFull())) {
        failure = new WeaveError('tool-output-too-long', `"${run.program}" printed too much`);
      }
      if (failure === null && exitCode === null) {
        failure = new WeaveError('tool-failed', `"${run.program}" was ended by ${signal}`);
      }
      if (failure !== null) reject(failure);
      else
        resolve({ exitCode: exitCode ?? -1, stdout: stdout.text(), stderr: stderr.text().trim() });
    });
    // A tool that fails early closes its input; its message matters, not the broken pipe.
    child.stdin?.on('error', () => {});
    child.stdin?.end(run.input ?? '');
  });
}

/** The child is forked by the calling thread and so inherits the namespace that thread is in. */
function start({ program, args, netns }: ProgramRun): ChildProcess {
  const path = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin:/usr/bin:/bin`;
  const options = { env: { PATH: path, LC_ALL: 'C' }, stdio: 'pipe' } as const;
  if (netns.path === null) return spawn(program, args, options);
  return withNetns(netns.path, () => spawn(program, args, options));
}

function startError({ program, debianPackage }: ProgramRun, error: NodeJS.ErrnoException): Error {
  if (error.code !== 'ENOENT') {
    return new WeaveError('tool-failed', `cannot run "${program}": ${error.message}`);
  }
  return new WeaveError(
    'tool-missing',
    `the program "${program}" was not found; install it (Debian and Ubuntu: package ` +
      `${debianPackage})`,
  );
}

interface Collected {
  text(): string;
  isFull(): boolean;
}

function collect(child: ChildProcess, stream: NodeJS.ReadableStream | null): Collected {
  const chunks: Buffer[] = [];
  let size = 0;
  stream?.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size <= MAX_OUTPUT_BYTES) chunks.push(chunk);
    else child.kill('SIGKILL');
  });
  return {
    text: () => Buffer.concat(chunks).toString('utf8'),
    isFull: () => size > MAX_OUTPUT_BYTES,
  };
}
