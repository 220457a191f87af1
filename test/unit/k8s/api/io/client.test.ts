/** The client against an API server in this process: TLS, credentials that rotate, refusals. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { systemClock } from '../../../../../core/clock.js';
import { findApiAccess } from '../../../../../k8s/api/io/access.js';
import { ApiClient, ApiFailure } from '../../../../../k8s/api/io/client.js';
import { ApiFollower } from '../../../../../k8s/api/io/follower.js';
import { KubernetesApi } from '../../../../support/kubernetes-api.js';
import { requireTool } from '../../../../support/requirements.js';
import { waitFor } from '../../../../support/wait.js';

const LIMIT_MS = 20_000;
const LIST_NODES = { method: 'GET', path: '/api/v1/nodes', right: 'list nodes' } as const;

function tempFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'weave-api-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

function certificate(folder: string): { readonly key: string; readonly cert: string } {
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  const subject = ['-subj', '/CN=api', '-addext', 'subjectAltName=IP:127.0.0.1'];
  const form = ['-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2'];
  execFileSync('openssl', ['req', ...form, '-keyout', key, '-out', cert, ...subject], {
    stdio: 'ignore',
  });
  return { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') };
}

async function patchAs(client: ApiClient, api: KubernetesApi): Promise<string | undefined> {
  const body = { type: 'application/strategic-merge-patch+json', value: {} };
  const path = '/api/v1/nodes/a/status';
  await client.json({ method: 'PATCH', path, right: 'patch nodes/status', body });
  return api.patches.at(-1)?.authorization;
}

test('the authority and the token of a pod may be replaced while it runs', async (t) => {
  if (!requireTool(t, 'openssl')) return;
  const folder = tempFolder(t);
  const first = certificate(folder);
  writeFileSync(join(folder, 'ca.crt'), first.cert);
  writeFileSync(join(folder, 'token'), 'one\n');
  const api = KubernetesApi.start({ tls: first });
  const options = { apiServer: api.url, kubeconfig: null, accountFolder: folder };
  const client = new ApiClient(await findApiAccess(options, {}));
  t.after(() => client.close());
  assert.equal(await patchAs(client, api), 'Bearer one');
  writeFileSync(join(folder, 'token'), 'two\n');
  assert.equal(await patchAs(client, api), 'Bearer two');
  const port = Number(new URL(api.url).port);
  api.down();
  const second = certificate(folder);
  const next = KubernetesApi.start({ tls: second, port });
  t.after(() => next.down());
  await assert.rejects(patchAs(client, next), /self-signed|certificate/);
  writeFileSync(join(folder, 'ca.crt'), second.cert);
  assert.equal(await patchAs(client, next), 'Bearer two');
});

test('a kubeconfig leads there, too', async (t) => {
  if (!requireTool(t, 'openssl')) return;
  const folder = tempFolder(t);
  const tls = certificate(folder);
  const api = KubernetesApi.start({ tls });
  t.after(() => api.down());
  const path = join(folder, 'kubeconfig');
  writeFileSync(
    path,
    `current-context: here
contexts: [{name: here, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "${api.url}", certificate-authority: cert.pem}}]
users: [{name: u, user: {token: three}}]
`,
  );
  const access = await findApiAccess({ apiServer: null, kubeconfig: path }, {});
  const client = new ApiClient(access);
  t.after(() => client.close());
  assert.equal(await patchAs(client, api), 'Bearer three');
  writeFileSync(path, 'current-context: elsewhere\ncontexts: []\nclusters: []\n');
  await assert.rejects(findApiAccess({ apiServer: null, kubeconfig: path }, {}), /no context/);
});

test('a refusal says which right is missing; silence ends in time', async (t) => {
  const api = KubernetesApi.start();
  t.after(() => api.down());
  const access = await findApiAccess({ apiServer: api.url, kubeconfig: null }, {});
  const client = new ApiClient(access);
  t.after(() => client.close());
  api.forbidden = 'nodes';
  await assert.rejects(client.json(LIST_NODES), (error) => {
    assert.ok(error instanceof ApiFailure);
    assert.equal(error.status, 403);
    assert.match(error.message, /lacks the right to list nodes/);
    return true;
  });
  api.isSilent = true;
  await assert.rejects(client.json({ ...LIST_NODES, timeoutMs: 200 }), /did not answer in time/);
});

test('a follower survives absence, cut watches and versions that are too old', async (t) => {
  const api = KubernetesApi.start();
  t.after(() => api.down());
  const client = new ApiClient(await findApiAccess({ apiServer: api.url, kubeconfig: null }, {}));
  const seen = new Set<string>();
  const failures: (string | null)[] = [];
  const nameOf = (object: unknown): string =>
    (object as { metadata: { name: string } }).metadata.name;
  const sink = {
    replaceAll: (objects: readonly unknown[]) => {
      seen.clear();
      for (const object of objects) seen.add(nameOf(object));
    },
    set: (object: unknown) => seen.add(nameOf(object)),
    remove: (object: unknown) => seen.delete(nameOf(object)),
    failing: (reason: string | null) => failures.push(reason),
  };
  const kinds = [{ path: LIST_NODES.path, sink }];
  const follower = new ApiFollower(client, kinds, { clock: systemClock, random: () => 0.5 });
  follower.start();
  t.after(() => follower.stop());
  const node = (name: string) => ({ metadata: { name } });
  for (let i = 0; i < 501; i++) api.put('nodes', node(`n${i}`));
  await waitFor('two pages', LIMIT_MS, () => seen.size === 501);
  api.remove('nodes', node('n0'));
  await waitFor('an event', LIMIT_MS, () => seen.size === 500);
  api.endWatches();
  api.compact();
  api.remove('nodes', node('n1'));
  await waitFor('a new watch', LIMIT_MS, () => seen.size === 499);
  api.down();
  await waitFor('a failure', LIMIT_MS, () => failures.length > 0);
  assert.equal(seen.size, 499, 'what was known stays');
  api.remove('nodes', node('n2'));
  api.compact();
  api.up();
  await waitFor('the list anew', LIMIT_MS, () => seen.size === 498);
  await waitFor('the end of the failure', LIMIT_MS, () => failures.at(-1) === null);
});
