/** The command line's view of the router's API, and what its answers mean for the exit code. */
import { CommandFailure, EXIT } from './exit.js';

export interface ApiRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly path: string;
  readonly query?: readonly (readonly [string, string])[];
  readonly form?: readonly (readonly [string, string])[];
  readonly json?: unknown;
  readonly accept?: string;
  /** For the whole answer; null waits as long as it takes. */
  readonly timeoutMs?: number | null;
}

export interface ApiAnswer {
  readonly status: number;
  readonly body: string;
}

export interface RouterClient {
  /** @throws {RouterUnreachable} */
  request(request: ApiRequest): Promise<ApiAnswer>;
}

/** Nobody answered. `places` are the addresses that were tried. */
export class RouterUnreachable extends Error {
  readonly reason: 'refused' | 'timeout' | 'denied';

  constructor(reason: 'refused' | 'timeout' | 'denied', places: readonly string[]) {
    const where = places.join(' or ');
    super(
      reason === 'denied'
        ? `the router's socket ${where} is open to root only: run weave as root`
        : reason === 'timeout'
          ? `Weave Net does not answer on ${where} in time`
          : `Weave Net is not running: nothing answers on ${where}. ` +
            "Have you launched it with 'weave launch'?",
    );
    this.reason = reason;
  }
}

/**
 * Sends and expects success.
 * @param unreachableExit overrides 7 and 28, as `status` has it.
 * @throws {CommandFailure} with the router's text.
 */
export async function call(
  client: RouterClient,
  request: ApiRequest,
  unreachableExit?: number,
): Promise<string> {
  let answer: ApiAnswer;
  try {
    answer = await client.request(request);
  } catch (error) {
    if (!(error instanceof RouterUnreachable)) throw error;
    const code = { refused: EXIT.refused, timeout: EXIT.timeout, denied: EXIT.failed };
    throw new CommandFailure(unreachableExit ?? code[error.reason], error.message);
  }
  return expectSuccess(answer);
}

function expectSuccess({ status, body }: ApiAnswer): string {
  if (status >= 200 && status < 300) return body;
  const text = body.trimEnd();
  if (status === 404) {
    const reason = text === '' || text.startsWith('404') ? 'this router has no such part' : text;
    throw new CommandFailure(EXIT.absent, reason);
  }
  if (status === 400) throw new CommandFailure(EXIT.badInput, text);
  throw new CommandFailure(EXIT.failed, text === '' ? `the router answered ${status}` : text);
}
