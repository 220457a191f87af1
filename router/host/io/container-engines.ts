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
    async names(): Promise<ReadonlyMap<string, string>> {
      const names = new Map<string, string>();
      for (const socketPath of sockets.filter((path) => existsSync(path))) {
        const list = await engineGet(socketPath, '/containers/json').catch(() => null);
        for (const [id, name] of namesOf(list)) names.set(id, name);
      }
      return names;
    },
  };
}

/** One with a second slash is what another container calls it by a link. */
function namesOf(list: unknown): [string, string][] {
  if (!Array.isArray(list)) return [];
  return (list as { Id?: unknown; Names?: unknown }[]).flatMap(({ Id: id, Names: names }) => {
    const own = Array.isArray(names) ? names.find((name) => /^\/?[^/]+$/.test(String(name))) : null;
    return typeof id === 'string' && own != null ? [[id, String(own).replace(/^\//, '')]] : [];
  });
}

function runningContainer(answer: unknown, asked: string): RunningContainer {
  const { Id: id, State: state } = answer as { Id?: unknown; State?: { Pid?: unknown } };
  const pid = state?.Pid;
  if (typeof pid === 'number' && Number.isInteger(pid) && pid > 0) {
    return { pid, id: typeof id === 'string' ? id : asked };
  }
  throw new RequestError('container-not-running', `Container ${asked} is not running`);
}
