/** What the handlers of routes share: reading requests, giving answers. */
import type { FastifyReply, FastifyRequest, HTTPMethods } from 'fastify';
import type { z } from 'zod';
import { RequestError } from '../../core/errors.js';

export interface Route {
  readonly method: HTTPMethods;
  /** `:name` stands for one part of the path. */
  readonly path: string;
  readonly handle: (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>;
}

const TEXT = 'text/plain; charset=utf-8';
/** An empty answer has no content type, like the original's. */
export function sendText(reply: FastifyReply, status: number, text: string): FastifyReply {
  reply.code(status);
  return text === '' ? reply.send() : reply.type(TEXT).send(text);
}

/** As bytes, because fastify adds a charset to text, which the original does not have. */
export const sendJsonText = (reply: FastifyReply, text: string): FastifyReply =>
  reply.code(200).type('application/json').send(Buffer.from(text));

export const sendJson = (reply: FastifyReply, value: unknown): FastifyReply =>
  sendJsonText(reply, `${JSON.stringify(value)}\n`);

/** From the query, and for POST and PUT from a form body first. */
export function parameters(request: FastifyRequest, name: string): readonly string[] {
  const query = request.query as URLSearchParams;
  const form = request.body instanceof URLSearchParams ? request.body.getAll(name) : [];
  return [...form, ...query.getAll(name)];
}

export function switchParameter(request: FastifyRequest, name: string): boolean {
  const value = parameters(request, name)[0] ?? 'false';
  if (/^(1|t|true)$/i.test(value)) return true;
  if (/^(0|f|false|)$/i.test(value)) return false;
  throw new RequestError('bad-switch', `${name}: expected true or false`);
}

export function jsonBody<T extends z.ZodType>(schema: T, request: FastifyRequest): z.output<T> {
  const type = request.headers['content-type'] ?? '';
  if (!type.startsWith('application/json')) {
    throw new RequestError('not-json', 'expected a body of type application/json');
  }
  const result = schema.safeParse(request.body);
  if (result.success) return result.data;
  const issues = result.error.issues.map((issue) => {
    const field = issue.path.join('.');
    return field === '' ? issue.message : `${field}: ${issue.message}`;
  });
  throw new RequestError('bad-body', issues.join('; '));
}

/** Ends when the client goes away before it has its answer. */
export function clientSignal(reply: FastifyReply): AbortSignal {
  const gone = new AbortController();
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) gone.abort();
  });
  return gone.signal;
}
