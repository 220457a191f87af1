/** What the router's answer means to the plugin, whichever client brought it. */
import { CniCode, CniError, type CniReply } from '../protocol.js';

/** Runtimes give up after two to four minutes; an address may be waited for until then. */
export const ANSWER_TIMEOUT_MS = 100_000;
export const CNI_PATH = '/cni';
export const CNI_HEADERS = { 'Content-Type': 'application/json' } as const;
const NOBODY: ReadonlySet<string> = new Set(['ENOENT', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE']);

/** @throws {CniError} */
export function parseAnswer(socketPath: string, status: number, text: string): CniReply {
  if (status === 200) return JSON.parse(text) as CniReply;
  throw failure(socketPath, `the router answered ${status}: ${text.trim()}`);
}

/** @returns null if nobody answers, or the router ends before it has. @throws {CniError} */
export function parseFailure(socketPath: string, code: string): null {
  if (NOBODY.has(code)) return null;
  throw failure(socketPath, `the router cannot be asked: ${code}`);
}

export const tooLate = (socketPath: string): CniError =>
  failure(
    socketPath,
    'the router has not answered in time; "weave ipam check" says whether it waits',
  );

const failure = (socketPath: string, text: string): CniError =>
  new CniError(CniCode.io, text, `asked at ${socketPath}`);
