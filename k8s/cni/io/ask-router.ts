/** Asks the router over its root-only socket. */
import { request as httpRequest } from 'node:http';
import { errorCode } from '../../../core/errors.js';
import { CniCode, CniError, type CniReply, type CniRequest } from '../protocol.js';

/** Runtimes give up after two to four minutes; an address may be waited for until then. */
const ANSWER_TIMEOUT_MS = 100_000;
const NOBODY: ReadonlySet<string> = new Set(['ENOENT', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE']);

/** @returns null if nobody answers, or the router ends before it has. @throws {CniError} */
export function askRouter(socketPath: string, request: CniRequest): Promise<CniReply | null> {
  return new Promise((resolve, reject) => {
    const fail = (text: string): void =>
      reject(new CniError(CniCode.io, text, `asked at ${socketPath}`));
    const body = JSON.stringify(request);
    const sent = httpRequest({
      socketPath,
      host: 'localhost',
      agent: false,
      method: 'POST',
      path: '/cni',
      headers: { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) },
    });
    const timer = setTimeout(() => {
      fail('the router has not answered in time; "weave ipam check" says whether it waits');
      sent.destroy();
    }, ANSWER_TIMEOUT_MS);
    const failWith = (error: unknown): void => {
      clearTimeout(timer);
      if (NOBODY.has(errorCode(error))) resolve(null);
      else fail(`the router cannot be asked: ${errorCode(error)}`);
    };
    sent.once('error', failWith);
    sent.once('response', (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.once('error', failWith);
      response.once('end', () => {
        clearTimeout(timer);
        if (response.statusCode === 200) resolve(JSON.parse(text) as CniReply);
        else fail(`the router answered ${response.statusCode}: ${text.trim()}`);
      });
    });
    sent.end(body);
  });
}
