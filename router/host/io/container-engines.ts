/** Asks container engines for a container's main process and its full id. */
import { existsSync } from 'node:fs';
import { RequestError } from '../../../core/errors.js';
import type { ContainerEngines, RunningContainer } from '../ports.js';
import { engineGet } from './engine-api.js';

export function createContainerEngines(sockets: readonly string[]): ContainerEngines {
  return {
    description: `no such container at ${sockets.join(', ') || 'any engine'}, or no engine there`,
    async find(id): Promise<RunningContainer | null> {
      for (const socketPath of sockets.filter((path) => existsSync(path))) {
        const answer = await engineGet(socketPath, `/containers/${encodeURIComponent(id)}/json`);
        if (answer !== null) return runningContainer(answer, id);
      }
      return null;
    },
  };
}

function runningContainer(answer: unknown, asked: string): RunningContainer {
  const { Id: id, State: state } = answer as { Id?: unknown; State?: { Pid?: unknown } };
  const pid = state?.Pid;
  if (typeof pid === 'number' && Number.isInteger(pid) && pid > 0) {
    return { pid, id: typeof id === 'string' ? id : asked };
  }
  throw new RequestError('container-not-running', `Container ${asked} is not running`);
}
