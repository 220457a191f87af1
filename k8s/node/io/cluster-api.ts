/** What a node asks of the API server beside its list. Source: reference/kubernetes.md 4, 7. */
import { z } from 'zod';
import { type ApiClient, ApiFailure } from '../../api/io/client.js';
import type { Annotations } from '../cluster-record.js';
import type { StoredRecord } from '../membership.js';

export const NODES_PATH = '/api/v1/nodes';
const NAMESPACE = 'kube-system';
const CONFIG_MAP = 'weave-net';
const CONFIG_MAPS_PATH = `/api/v1/namespaces/${NAMESPACE}/configmaps`;
const CONFIG_MAP_PATH = `${CONFIG_MAPS_PATH}/${CONFIG_MAP}`;
const JSON_TYPE = 'application/json';

const configMapSchema = z.looseObject({
  metadata: z.looseObject({
    resourceVersion: z.string(),
    annotations: z.record(z.string(), z.string()).nullish(),
  }),
});
type ConfigMap = z.infer<typeof configMapSchema>;

export class ClusterApi {
  readonly #client: ApiClient;
  /** As it was read or written last. */
  #configMap: ConfigMap | null = null;

  constructor(client: ApiClient) {
    this.#client = client;
  }

  /** Clears the condition NetworkUnavailable. @throws {ApiFailure}, or what the socket says. */
  async networkAvailable(nodeName: string): Promise<void> {
    const now = new Date().toISOString().replace(/\.\d+Z$/, 'Z');
    const condition = {
      type: 'NetworkUnavailable',
      status: 'False',
      reason: 'WeaveIsUp',
      message: 'Weave pod has set this',
      lastTransitionTime: now,
      lastHeartbeatTime: now,
    };
    await this.#client.json({
      method: 'PATCH',
      path: `${NODES_PATH}/${encodeURIComponent(nodeName)}/status`,
      right: 'patch nodes/status',
      body: {
        type: 'application/strategic-merge-patch+json',
        value: { status: { conditions: [condition] } },
      },
    });
  }

  /** Asked of the API server itself, not of a list that may be behind. */
  async nodeExists(name: string): Promise<boolean> {
    const path = `${NODES_PATH}/${encodeURIComponent(name)}`;
    const found = await orNull(404, () =>
      this.#client.json({ method: 'GET', path, right: 'get nodes' }),
    );
    return found !== null;
  }

  /** @returns null if there is none. */
  async readRecord(): Promise<StoredRecord | null> {
    const right = `get configmaps/${CONFIG_MAP} in ${NAMESPACE}`;
    const path = CONFIG_MAP_PATH;
    const value = await orNull(404, () => this.#client.json({ method: 'GET', path, right }));
    this.#configMap = null;
    return value === null ? null : this.#note(value);
  }

  /** @returns null if somebody else wrote since it was read. */
  async writeRecord(annotations: Annotations): Promise<StoredRecord | null> {
    const value = await this.#write(annotations);
    return value === null ? null : this.#note(value);
  }

  async #write(annotations: Annotations): Promise<unknown | null> {
    const old = this.#configMap;
    if (old === null) {
      const metadata = { name: CONFIG_MAP, namespace: NAMESPACE, annotations };
      const value = { apiVersion: 'v1', kind: 'ConfigMap', metadata };
      const right = `create configmaps in ${NAMESPACE}`;
      const body = { type: JSON_TYPE, value };
      const call = { method: 'POST', path: CONFIG_MAPS_PATH, right, body } as const;
      return await orNull(409, () => this.#client.json(call));
    }
    const value = { ...old, metadata: { ...old.metadata, annotations } };
    const right = `update configmaps/${CONFIG_MAP} in ${NAMESPACE}`;
    const call = {
      method: 'PUT',
      path: CONFIG_MAP_PATH,
      right,
      body: { type: JSON_TYPE, value },
    } as const;
    // It may be gone as a whole, too.
    return await orNull(409, () => orNull(404, () => this.#client.json(call)));
  }

  #note(value: unknown): StoredRecord {
    this.#configMap = configMapSchema.parse(value);
    const { resourceVersion, annotations } = this.#configMap.metadata;
    return { resourceVersion, annotations: annotations ?? {} };
  }
}

async function orNull<T>(status: number, call: () => Promise<T>): Promise<T | null> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof ApiFailure && error.status === status) return null;
    throw error;
  }
}
