/** Asks the engines what they call a container. Source: Docker Engine API, "Inspect a container". */
import { existsSync } from 'node:fs';
import { z } from 'zod';
import type { ContainerInfo } from '../../container-name.js';
import { engineGet } from './engine-api.js';

const inspection = z.object({
  Id: z.string(),
  Name: z.string().default(''),
  State: z.object({ Running: z.boolean().default(false) }),
  Config: z.object({
    Hostname: z.string().default(''),
    Domainname: z.string().default(''),
    Labels: z.record(z.string(), z.string()).nullish(),
  }),
});

/**
 * @param target id, start of an id or name, as a user writes it.
 * @returns null if no engine knows it or none is there.
 * @throws {WeaveError} `container-engine-failed`
 */
export async function inspectContainer(
  sockets: readonly string[],
  target: string,
): Promise<ContainerInfo | null> {
  for (const socketPath of sockets.filter((path) => existsSync(path))) {
    const answer = await engineGet(socketPath, `/containers/${encodeURIComponent(target)}/json`);
    const parsed = inspection.safeParse(answer);
    if (!parsed.success) continue;
    const { Id, Name, State, Config } = parsed.data;
    return {
      id: Id,
      isRunning: State.Running,
      name: Name.replace(/^\//, ''),
      hostname: Config.Hostname,
      domainname: Config.Domainname,
      labels: Config.Labels ?? {},
    };
  }
  return null;
}
