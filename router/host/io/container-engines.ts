/**
 * Asks Docker, or anything that speaks its API on a Unix socket, for a container's main process.
 * Source: Docker Engine API, "Inspect a container".
 */
import { existsSync } from 'node:fs';
import { request } from 'node:http';
import { errorText, RequestError, WeaveError } from '../../../core/errors.js';
import type { ContainerEngines } from '../ports.js';

export const DEFAULT_ENGINE_SOCKETS = ['/var/run/docker.sock', '/run/podman/podman.sock'];
const TIMEOUT_MS = 5000;
/** An inspect answer has a few dozen kilobytes. */
const MAX_ANSWER_BYTES = 4 * 1024 * 1024;

export function createContainerEngines(sockets: readonly string[]): ContainerEngines {
  return {
    description: `no such container at ${sockets.join(', ') || 'any engine'}, or no engine there`,
    async findPid(id): Promise<number | null> {
      for (const socketPath of sockets.filter((path) => existsSync(path))) {
        const answer = await inspect(socketPath, id);
        if (answer !== null) return mainProcess(answer, id);
      }
      return null;
    },
  };
}

function mainProcess(answer: string, id: string): number {
  let pid: unknown;
  try {
    pid = (JSON.parse(answer) as { State?: { Pid?: unknown } }).State?.Pid;
  } catch (error) {
    throw failed(errorText(error));
  }
  if (typeof pid === 'number' && Number.isInteger(pid) && pid > 0) return pid;
  throw new RequestError('container-not-running', `Container ${id} is not running`);
}

/** @returns the body, or null if this engine does not know the container. */
function inspect(socketPath: string, id: string): Promise<string | null> {
  return new Promise((resolve, reject) => {
    const path = `/containers/${encodeURIComponent(id)}/json`;
    const call = request({ socketPath, path, headers: { Host: 'localhost' } }, (response) => {
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

function failed(reason: string): WeaveError {
  return new WeaveError('container-engine-failed', `cannot ask the container engine: ${reason}`);
}
