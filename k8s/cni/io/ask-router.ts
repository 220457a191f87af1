/** Asks the router over its root-only socket. */
import { request as httpRequest } from 'node:http';
import { errorCode } from '../../../core/errors.js';
import type { CniReply, CniRequest } from '../protocol.js';
import {
  ANSWER_TIMEOUT_MS,
  CNI_HEADERS,
  CNI_PATH,
  parseAnswer,
  parseFailure,
  tooLate,
} from './answer.js';

/** @returns null if nobody answers, or the router ends before it has. @throws {CniError} */
export function askRouter(socketPath: string, request: CniRequest): Promise<CniReply | null> {
  return new Promise((resolve, reject) => {
    const body = JSON.stringify(request);
    const sent = httpRequest({
      socketPath,
      host: 'localhost',
      agent: false,
      method: 'POST',
      path: CNI_PATH,
      headers: { ...CNI_HEADERS, 'Content-Length': Buffer.byteLength(body) },
    });
    const timer = setTimeout(() => {
      reject(tooLate(socketPath));
      sent.destroy();
    }, ANSWER_TIMEOUT_MS);
    const end = (reply: () => CniReply | null): void => {
      clearTimeout(timer);
      try {
        resolve(reply());
      } catch (error) {
        reject(error);
      }
    };
    const fail = (error: unknown): void => end(() => parseFailure(socketPath, errorCode(error)));
    sent.once('error', fail);
    sent.once('response', (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.once('error', fail);
      response.once('end', () => {
        end(() => parseAnswer(socketPath, response.statusCode ?? 0, text));
      });
    });
    sent.end(body);
  });
}
