/** The manifests: by the schemas of Kubernetes, and by what an upgrade and least rights need. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { DaemonSet } from 'kubernetes-models/apps/v1';
import {
  ClusterRole,
  ClusterRoleBinding,
  Role,
  RoleBinding,
} from 'kubernetes-models/rbac.authorization.k8s.io/v1';
import { ServiceAccount } from 'kubernetes-models/v1';
import { parseAllDocuments, parse as parseYaml } from 'yaml';
import { z } from 'zod';
import { runTemplate } from '../../router/go-template.js';
import { mapOf } from '../../router/report-json.js';
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
  Role: (manifest) => new Role(manifest as ConstructorParameters<typeof Role>[0]),
  RoleBinding: (manifest) =>
    new RoleBinding(manifest as ConstructorParameters<typeof RoleBinding>[0]),
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
    ['ServiceAccount', 'ClusterRole', 'ClusterRoleBinding', 'Role', 'RoleBinding', 'DaemonSet'],
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
    assert.ok(env?.some(({ name }) => name === 'HOSTNAME'));
  }
  const [weave, npc] = template.spec?.containers ?? [];
  const password = weave?.env?.find(({ name }) => name === 'WEAVE_PASSWORD');
  assert.ok(password?.valueFrom?.secretKeyRef !== undefined, 'the password is in a secret');
  const { capabilities, privileged } = npc?.securityContext ?? {};
  assert.deepEqual(capabilities, { drop: ['ALL'], add: ['NET_ADMIN'] });
  assert.equal(privileged, undefined);
  assert.equal(template.spec?.hostNetwork, true);
  assert.equal(template.spec?.priorityClassName, 'system-node-critical');
  for (const effect of ['NoSchedule', 'NoExecute']) {
    const tolerates = template.spec?.tolerations?.some(
      (toleration) => toleration.effect === effect && toleration.operator === 'Exists',
    );
    assert.ok(tolerates, effect);
  }
});

test('the service account has the rights of the calls that are made, and no others', () => {
  const role = base.find(({ kind }) => kind === 'ClusterRole');
  const verbs = ['get', 'list', 'watch'];
  assert.deepEqual(role?.['rules'], [
    { apiGroups: [''], resources: ['nodes', 'pods', 'namespaces'], verbs },
    { apiGroups: ['networking.k8s.io'], resources: ['networkpolicies'], verbs },
    { apiGroups: ['policy.networking.k8s.io'], resources: ['clusternetworkpolicies'], verbs },
    { apiGroups: [''], resources: ['nodes/status'], verbs: ['patch'] },
  ]);
  const record = base.find(({ kind }) => kind === 'Role');
  const configmaps = { apiGroups: [''], resources: ['configmaps'] };
  assert.deepEqual(record?.['rules'], [
    { ...configmaps, verbs: ['create'] },
    { ...configmaps, resourceNames: ['weave-net'], verbs: ['get', 'update'] },
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

interface Values {
  env: Record<string, string>;
  image: Record<string, string>;
  [key: string]: unknown;
}

const chart = (path: string): string => readFileSync(join(folder, 'chart', path), 'utf8');
const defaults = (): Values => parseYaml(chart('values.yaml')) as Values;

/** By our own engine, which knows the part of Go's templates that the chart is kept to. */
function render(values: Values): Manifest[] {
  const Values = { ...values, env: mapOf(values.env) };
  const data = { Values, Release: { Namespace: 'kube-system' } };
  const result = runTemplate(chart('templates/weave-net.yaml'), data);
  assert.ok(result.ok, result.ok ? '' : result.reason);
  return parse(result.text);
}

test('the chart with its default values is the base', () => {
  assert.deepEqual(render(defaults()), base);
  const { version } = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8'));
  const { version: chartVersion, appVersion } = parseYaml(chart('Chart.yaml'));
  assert.deepEqual([chartVersion, appVersion], [version, version]);
});

test('helm renders the same', (t) => {
  if (!requireTool(t, 'helm')) return;
  const argv = ['template', 'weave-net', join(folder, 'chart'), '--namespace', 'kube-system'];
  assert.deepEqual(parse(execFileSync('helm', argv, { encoding: 'utf8' })), base);
});

test('values of the chart reach the container as text', () => {
  const env = { IPALLOC_RANGE: '10.40.0.0/16', EXTRA_ARGS: '--log-format "json": {}' };
  const manifests = render({ ...defaults(), env, image: { repository: 'r.test/w', tag: '1' } });
  for (const manifest of manifests) validate(manifest);
  const [container] = daemonSetSpec(manifests).template.spec?.containers ?? [];
  assert.equal(container?.image, 'r.test/w:1');
  const given = Object.fromEntries((container?.env ?? []).map(({ name, value }) => [name, value]));
  assert.equal(given['IPALLOC_RANGE'], env.IPALLOC_RANGE);
  assert.equal(given['EXTRA_ARGS'], env.EXTRA_ARGS);
  const passwordSecret = { name: 'of-this-cluster', key: 'p', optional: false };
  const [other] =
    daemonSetSpec(render({ ...defaults(), passwordSecret })).template.spec?.containers ?? [];
  const password = other?.env?.find(({ name }) => name === 'WEAVE_PASSWORD');
  assert.deepEqual(password?.valueFrom?.secretKeyRef, passwordSecret);
  const without = daemonSetSpec(render({ ...defaults(), policies: false })).template.spec;
  assert.equal(without?.containers.length, 1);
  const expected = without?.containers[0]?.env?.find(({ name }) => name === 'EXPECT_NPC');
  assert.equal(expected?.value, '0');
  const [, npc] =
    daemonSetSpec(render({ ...defaults(), clusterNetworkPolicy: true })).template.spec
      ?.containers ?? [];
  assert.deepEqual(npc?.args, ['--cluster-network-policy']);
});

test('the schema of the values takes what is meant and refuses what is mistyped', () => {
  const schema = z.fromJSONSchema(JSON.parse(chart('values.schema.json')));
  const accepts = (change: object): boolean =>
    schema.safeParse({ ...defaults(), ...change }).success;
  assert.ok(accepts({}));
  assert.ok(accepts({ env: { IPALLOC_RANGE: '10.40.0.0/16', CONN_LIMIT: '100' } }));
  assert.ok(!accepts({ env: { IPALLOC_RANG: '10.40.0.0/16' } }));
  assert.ok(!accepts({ env: { CONN_LIMIT: 'many' } }));
  assert.ok(!accepts({ env: { WEAVE_PASSWORD: 'secret' } }), 'passwords belong into the secret');
  assert.ok(accepts({ policies: false }) && !accepts({ policies: 'no' }));
  assert.ok(!accepts({ imag: {} }));
  assert.ok(!accepts({ passwordSecret: { name: 'x' } }));
});
