/**
 * The few calls that we make to Docker, or to anything that speaks its API on a Unix socket.
 * Source: Docker Engine API, "Inspect a container", "List containers", "Monitor events".
 */
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { errorText, WeaveError } from '../../../core/errors.js';

export const DEFAULT_ENGINE_SOCKETS = ['/var/run/docker.sock', '/run/podman/podman.sock'];
const TIMEOUT_MS = 5000;
/** An inspect answer has a few dozen kilobytes, a list some per container. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;
/** One event has some hundred bytes; labels make it longer. */
const MAX_EVENT_BYTES = 1024 * 1024;
/** Docker's words and, behind them, podman's. */
const EVENTS: ReadonlyMap<string, ContainerEvent['kind']> = new Map([
  ['start', 'started'],
  ['die', 'died'],
  ['died', 'died'],
  ['destroy', 'destroyed'],
  ['remove', 'destroyed'],
]);

export interface ContainerEvent {
  readonly kind: 'started' | 'died' | 'destroyed';
  readonly id: string;
}

export interface EventHandlers {
  /** From now on every event is seen. */
  readonly onOpen: () => void;
  readonly onEvent: (event: ContainerEvent) => void;
  /** Once; nothing comes after it. */
  readonly onEnd: (reason: string) => void;
}

/**
 * @returns the parsed answer, or null if the engine knows no such thing (400, 404).
 * @throws {WeaveError} `container-engine-failed`
 */
export async function engineGet(socketPath: string, path: string): Promise<unknown> {
  const text = await get(socketPath, path);
  try {
    return text === null ? null : JSON.parse(text);
  } catch (error) {
    throw failed(errorText(error));
  }
}

/** Follows starts and ends of containers until the returned function is called or it breaks. */
export function followEvents(socketPath: string, handlers: EventHandlers): () => void {
  const filters = encodeURIComponent(JSON.stringify({ type: ['container'] }));
  let ended = false;
  const end = (reason: string): void => {
    if (ended) return;
    ended = true;
    call.destroy();
    handlers.onEnd(reason);
  };
  const call = open(socketPath, `/events?filters=${filters}`, (response) => {
    if (response.statusCode !== 200) {
      end(`HTTP ${response.statusCode} from ${socketPath}`);
      return;
    }
    handlers.onOpen();
    let line = '';
    response.setEncoding('utf8');
    response.on('data', (chunk: string) => {
      const parts = (line + chunk).split('\n');
      line = parts.pop() as string;
      for (const part of parts) {
        const event = parseEvent(part);
        if (event !== null && !ended) handlers.onEvent(event);
      }
      if (line.length > MAX_EVENT_BYTES) end('an event is too long');
    });
    response.on('error', (error) => end(error.message));
    response.on('end', () => end(`${socketPath} ended the stream of events`));
  });
  call.on('error', (error) => end(error.message));
  call.end();
  return () => {
    ended = true;
    call.destroy();
  };
}

/** @returns null for events that do not concern us and for lines that are none. */
function parseEvent(line: string): ContainerEvent | null {
  let event: { Type?: unknown; Action?: unknown; status?: unknown; Actor?: { ID?: unknown } };
  try {
    event = JSON.parse(line) ?? {};
  } catch {
    return null;
  }
  const kind = EVENTS.get(String(event.Action ?? event.status));
  const id = event.Actor?.ID;
  return kind === undefined || typeof id !== 'string' ? null : { kind, id };
}

function get(socketPath: string, path: string): Promise<string | null> {
  return new Promise((resolve, reject) => {
    const call = open(socketPath, path, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        body += chunk;
        if (body.length > MAX_ANSWER_BYTES) call.destroy(new Error('the answer is too long'));
      });
      response.on('error', (error) => reject(failed(error.message)));
      response.on('end', () => {
        if (response.statusCode === 200) resolve(body);
        else if (response.statusCode === 404 || response.statusCode === 400) resolve(null);
        else reject(failed(`HTTP ${response.statusCode} from ${socketPath}`));
      });
    });
    call.setTimeout(TIMEOUT_MS, () => call.destroy(new Error(`no answer from ${socketPath}`)));
    call.on('error', (error) => reject(failed(error.message)));
    call.end();
  });
}

const open = (
  socketPath: string,
  path: string,
  onResponse: (response: IncomingMessage) => void,
): ClientRequest =>
  request({ socketPath, path, headers: { Host: 'localhost' }, agent: false }, onResponse);

function failed(reason: string): WeaveError {
  return new WeaveError('container-engine-failed', `cannot ask the container engine: ${reason}`);
}
