/**
 * A little of an API server, as a process in a test's namespace: the list of nodes, and patches of
 * their status, each printed as one line of JSON. The first `refusals` patches are answered 403.
 * Arguments: port, list of nodes as JSON, number of refusals.
 */
import { createServer } from 'node:http';

const [port = '0', nodes = '{"items":[]}', refusals = '0'] = process.argv.slice(2);
let refusalsLeft = Number(refusals);

createServer((request, response) => {
  let body = '';
  request.setEncoding('utf8').on('data', (chunk: string) => {
    body += chunk;
  });
  request.on('end', () => {
    const { method, url, headers } = request;
    const answer = (status: number, text: string): void => {
      response.writeHead(status, { 'Content-Type': 'application/json' }).end(text);
    };
    if (method === 'GET' && url === '/api/v1/nodes') return answer(200, nodes);
    if (method !== 'PATCH') return answer(404, '{}');
    refusalsLeft -= 1;
    if (refusalsLeft >= 0) return answer(403, '{}');
    const { authorization, 'content-type': type } = headers;
    process.stdout.write(`${JSON.stringify({ url, type, authorization, body })}\n`);
    return answer(200, '{}');
  });
}).listen(Number(port), '127.0.0.1');
