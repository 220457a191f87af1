/**
 * Answers of the controller's two listeners: the root-only socket, which the command line asks, and
 * the metrics. Reading only: nothing here changes anything.
 *
 *   socket    GET /status  GET /report  GET /explain?from=&to=&port=  GET /metrics
 *   metrics   GET /metrics
 */
import { errorText, WeaveError } from '../../../core/errors.js';
import { formatNpcReport, type NpcReport } from './report.js';

export interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

export interface RouteModules {
  readonly report: () => NpcReport;
  readonly metrics: (report: NpcReport) => Promise<string>;
  /**
   * The verdict and where it comes from, for people.
   * @throws {WeaveError} for an unknown pod or a wrong port.
   */
  readonly explain: (from: string, to: string, port: string) => ExplainReply;
}

export interface ExplainReply {
  readonly allowed: boolean;
  readonly lines: readonly string[];
}

const TEXT = 'text/plain; charset=utf-8';
const JSON_TYPE = 'application/json';
const MAX_URL_CHARS = 4096;

/** @param target path and query as in the request line. */
export async function answer(
  listener: 'socket' | 'metrics',
  method: string,
  target: string,
  modules: RouteModules,
): Promise<Answer> {
  if (method !== 'GET') return text(405, 'only GET is answered here\n');
  if (target.length > MAX_URL_CHARS || !URL.canParse(target, 'http://localhost')) {
    return text(400, 'the path is not understood\n');
  }
  const { pathname, searchParams } = new URL(target, 'http://localhost');
  if (pathname === '/metrics') {
    const body = await modules.metrics(modules.report());
    return { status: 200, type: 'text/plain; version=0.0.4; charset=utf-8', body };
  }
  if (listener === 'socket') {
    if (pathname === '/status') return text(200, formatNpcReport(modules.report()));
    if (pathname === '/report') return json(modules.report());
    if (pathname === '/explain') return explain(searchParams, modules);
  }
  return text(404, '404 page not found\n');
}

function explain(query: URLSearchParams, modules: RouteModules): Answer {
  const from = query.get('from') ?? '';
  const to = query.get('to') ?? '';
  if (from === '' || to === '') return text(400, 'from and to are needed\n');
  try {
    return json(modules.explain(from, to, query.get('port') ?? ''));
  } catch (error) {
    if (!(error instanceof WeaveError)) throw error;
    return text(400, `${errorText(error)}\n`);
  }
}

const text = (status: number, body: string): Answer => ({ status, type: TEXT, body });
const json = (value: unknown): Answer => ({
  status: 200,
  type: JSON_TYPE,
  body: `${JSON.stringify(value)}\n`,
});
