/** The manifests: by the schemas of Kubernetes, and by what an upgrade and least rights need. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { DaemonSet } from 'kubernetes-models/apps/v1';
import { ClusterRole, ClusterRoleBinding } from 'kubernetes-models/rbac.authorization.k8s.io/v1';
import { ServiceAccount } from 'kubernetes-models/v1';
import { parseAllDocuments } from 'yaml';
import { requireTool } from '../support/requirements.js';

const projectRoot = join(dirname(fileURLToPath(import.meta.url)), '../../..');
const folder = join(projectRoot, 'deploy/kubernetes');

interface Manifest {
  readonly kind: string;
  readonly [key: string]: unknown;
}

/** Each checks its content against the schema of its kind, and throws. */
const KINDS: Readonly<Record<string, (manifest: object) => { validate(): void }>> = {
  ServiceAccount: (manifest) => new ServiceAccount(manifest),
  ClusterRole: (manifest) =>
    new ClusterRole(manifest as ConstructorParameters<typeof ClusterRole>[0]),
  ClusterRoleBinding: (manifest) =>
    new ClusterRoleBinding(manifest as ConstructorParameters<typeof ClusterRoleBinding>[0]),
  DaemonSet: (manifest) => new DaemonSet(manifest as ConstructorParameters<typeof DaemonSet>[0]),
};

function parse(text: string): Manifest[] {
  return parseAllDocuments(text).map((document) => {
    assert.deepEqual(document.errors, []);
    return document.toJS() as Manifest;
  });
}

const load = (path: string): Manifest[] => parse(readFileSync(join(folder, path), 'utf8'));

function validate(manifest: Manifest): void {
  const kind = KINDS[manifest.kind];
  assert.ok(kind !== undefined, manifest.kind);
  kind(manifest).validate();
}

const base = load('base/weave-net.yaml');
type Spec = NonNullable<InstanceType<typeof DaemonSet>['spec']>;

function daemonSetSpec(manifests: readonly Manifest[]): Spec {
  const found = manifests.find(({ kind }) => kind === 'DaemonSet');
  return found?.['spec'] as Spec;
}

test('manifests are valid by the schemas of Kubernetes', () => {
  for (const manifest of [...base, ...load('uninstall.yaml')]) validate(manifest);
  assert.deepEqual(
    base.map(({ kind }) => kind),
    ['ServiceAccount', 'ClusterRole', 'ClusterRoleBinding', 'DaemonSet'],
  );
  // The schemas do find mistakes.
  const spec = daemonSetSpec(base);
  const wrong = { ...base.find(({ kind }) => kind === 'DaemonSet'), kind: 'DaemonSet' };
  assert.throws(() => validate({ ...wrong, spec: { ...spec, minReadySeconds: 'five' } }));
});

test('a rolling update starts the new pod beside the old one', () => {
  const { updateStrategy, template } = daemonSetSpec(base);
  assert.deepEqual(updateStrategy?.rollingUpdate, { maxSurge: 1, maxUnavailable: 0 });
  // On the host's network each declared port is a host port, which only one pod can have.
  for (const { ports, env, livenessProbe } of template.spec?.containers ?? []) {
    assert.equal(ports, undefined);
    assert.equal(livenessProbe, undefined, 'slow is not dead');
    const password = env?.find(({ name }) => name === 'WEAVE_PASSWORD');
    assert.ok(password?.valueFrom?.secretKeyRef !== undefined, 'the password is in a secret');
  }
  assert.equal(template.spec?.hostNetwork, true);
  assert.equal(template.spec?.priorityClassName, 'system-node-critical');
  for (const effect of ['NoSchedule', 'NoExecute']) {
    const tolerates = template.spec?.tolerations?.some(
      (toleration) => toleration.effect === effect && toleration.operator === 'Exists',
    );
    assert.ok(tolerates, effect);
  }
});

test('the service account has the rights of the two calls that are made, and no others', () => {
  const role = base.find(({ kind }) => kind === 'ClusterRole');
  assert.deepEqual(role?.['rules'], [
    { apiGroups: [''], resources: ['nodes'], verbs: ['list'] },
    { apiGroups: [''], resources: ['nodes/status'], verbs: ['patch'] },
  ]);
});

test('the image of all manifests carries the version of this package', () => {
  const { version } = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8'));
  for (const path of ['base/weave-net.yaml', 'uninstall.yaml']) {
    const text = readFileSync(join(folder, path), 'utf8');
    const images = [...text.matchAll(/image: (\S+)/g)].map((match) => match[1]);
    assert.ok(images.length > 0);
    for (const image of images) assert.equal(image, `weave-net:${version}`, path);
  }
});

test('kustomize builds the base', (t) => {
  if (!requireTool(t, 'kubectl')) return;
  const text = execFileSync('kubectl', ['kustomize', join(folder, 'base')], { encoding: 'utf8' });
  const built = parse(text);
  for (const manifest of built) validate(manifest);
  assert.equal(built.length, base.length);
  assert.deepEqual(daemonSetSpec(built), daemonSetSpec(base));
});
