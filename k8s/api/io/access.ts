/**
 * Where the API server is and how to prove who we are: the service account of a pod, a kubeconfig,
 * or an address that asks for nothing. Tokens rotate, so they are read again for each request.
 * Source: Kubernetes, "Accessing the API from a pod"; kubeconfig v1.
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import { errorText, WeaveError } from '../../../core/errors.js';

export interface ApiAccess {
  readonly server: URL;
  /** PEM, which rotates like the token; undefined: those that the runtime trusts. */
  readonly ca: () => string | undefined;
  readonly clientCertificate: string | undefined;
  readonly clientKey: string | undefined;
  /** null: no token. @throws if its file can't be read. */
  readonly token: () => string | null;
}

/** Where the kubelet puts `token` and `ca.crt` of a pod's service account. */
const ACCOUNT_FOLDER = '/var/run/secrets/kubernetes.io/serviceaccount';

const NO_CERTIFICATES = { clientCertificate: undefined, clientKey: undefined } as const;

const text = z.string().optional();
const kubeconfigSchema = z.object({
  'current-context': z.string(),
  contexts: z.array(
    z.object({ name: z.string(), context: z.object({ cluster: z.string(), user: text }) }),
  ),
  clusters: z.array(
    z.object({
      name: z.string(),
      cluster: z.object({
        server: z.url(),
        'certificate-authority': text,
        'certificate-authority-data': text,
      }),
    }),
  ),
  users: z
    .array(
      z.object({
        name: z.string(),
        user: z.object({
          token: text,
          tokenFile: text,
          'client-certificate': text,
          'client-certificate-data': text,
          'client-key': text,
          'client-key-data': text,
          exec: z.unknown().optional(),
        }),
      }),
    )
    .nullish(),
});

export interface ApiAccessOptions {
  /** Address to use as it is, `http://…` for tests and proxies; null: that of the pod. */
  readonly apiServer: string | null;
  readonly kubeconfig: string | null;
  /** Folder with `token` and `ca.crt`, if `apiServer` asks for them. */
  readonly accountFolder?: string | null;
}

/** @throws {WeaveError} `api-access` with a sentence on what is missing. */
export async function findApiAccess(
  options: ApiAccessOptions,
  env: Readonly<Record<string, string | undefined>>,
): Promise<ApiAccess> {
  const folder = options.accountFolder ?? null;
  if (options.apiServer !== null) return plainAccess(options.apiServer, folder);
  if (options.kubeconfig !== null) return await kubeconfigAccess(options.kubeconfig);
  return accountAccess(env);
}

function plainAccess(server: string, folder: string | null): ApiAccess {
  if (folder === null) {
    return { server: new URL(server), ...NO_CERTIFICATES, ca: () => undefined, token: () => null };
  }
  return { server: new URL(server), ...NO_CERTIFICATES, ...accountIn(folder) };
}

function accountAccess(env: Readonly<Record<string, string | undefined>>): ApiAccess {
  const host = env['KUBERNETES_SERVICE_HOST'] ?? '';
  const port = env['KUBERNETES_SERVICE_PORT'] ?? '443';
  if (host === '') {
    throw new WeaveError(
      'api-access',
      'no API server: this is no pod (KUBERNETES_SERVICE_HOST is not set); give --kubeconfig',
    );
  }
  return {
    server: new URL(`https://${host.includes(':') ? `[${host}]` : host}:${port}`),
    ...NO_CERTIFICATES,
    ...accountIn(ACCOUNT_FOLDER),
  };
}

function accountIn(folder: string): Pick<ApiAccess, 'ca' | 'token'> {
  return {
    // Without one, those that the runtime trusts.
    ca: () => (existsSync(`${folder}/ca.crt`) ? read(`${folder}/ca.crt`) : undefined),
    token: () => read(`${folder}/token`).trim(),
  };
}

async function kubeconfigAccess(path: string): Promise<ApiAccess> {
  const { parse } = await import('yaml');
  const fail = (what: string): WeaveError => new WeaveError('api-access', `${path}: ${what}`);
  let raw: unknown;
  try {
    raw = parse(read(path));
  } catch (error) {
    throw error instanceof WeaveError ? error : fail(errorText(error));
  }
  const parsed = kubeconfigSchema.safeParse(raw);
  if (!parsed.success) throw fail(`is no kubeconfig: ${parsed.error.issues[0]?.message ?? ''}`);
  const config = parsed.data;
  const name = config['current-context'];
  const context = config.contexts.find((entry) => entry.name === name)?.context;
  const cluster = config.clusters.find((entry) => entry.name === context?.cluster)?.cluster;
  if (context === undefined || cluster === undefined) throw fail(`has no context "${name}"`);
  const user = (config.users ?? []).find((entry) => entry.name === context.user)?.user ?? {};
  if (user.exec !== undefined) {
    throw fail('its user runs a program for credentials, which is not supported: use a token');
  }
  const file = (data: string | undefined, at: string | undefined): string | undefined => {
    if (data !== undefined) return Buffer.from(data, 'base64').toString('utf8');
    return at === undefined ? undefined : read(resolve(dirname(path), at));
  };
  const { token, tokenFile } = user;
  return {
    server: new URL(cluster.server),
    ca: () => file(cluster['certificate-authority-data'], cluster['certificate-authority']),
    clientCertificate: file(user['client-certificate-data'], user['client-certificate']),
    clientKey: file(user['client-key-data'], user['client-key']),
    token: () =>
      tokenFile === undefined ? (token ?? null) : read(resolve(dirname(path), tokenFile)).trim(),
  };
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new WeaveError('api-access', `${path} can't be read: ${errorText(error)}`);
  }
}
