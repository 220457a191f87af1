/** Options from all places, their precedence, and errors that name the field as it was written. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fromUtf8 } from '../../../core/bytes.js';
import { parseCidr } from '../../../core/ip.js';
import { formatPeerName, parsePeerName } from '../../../core/peer-name.js';
import { interpretStart, type LoadedConfig, type StartRequest } from '../../../router/config.js';
import { type FileReader, redactArguments } from '../../../router/password.js';

const YAML = '/etc/weave/weave.yaml';

interface Given {
  readonly env?: Record<string, string>;
  readonly files?: Record<string, string>;
  readonly mode?: number;
}

function start(argv: readonly string[], given: Given = {}): StartRequest {
  const readFile: FileReader = (path) => {
    const text = given.files?.[path];
    return text === undefined
      ? { ok: false, missing: true, text: `there is no file ${path}` }
      : { ok: true, text, mode: given.mode ?? 0o600 };
  };
  const env = given.env ?? {};
  return interpretStart({ argv, env, readFile, hostName: 'host1', version: '3.0.0' });
}

function loaded(argv: readonly string[], given: Given = {}): LoadedConfig {
  const request = start(argv, given);
  assert.ok(request.kind === 'run', JSON.stringify(request));
  return request.loaded;
}

function refused(argv: readonly string[], given: Given = {}): string {
  const request = start(argv, given);
  assert.ok(request.kind === 'exit' && request.code === 2, JSON.stringify(request));
  return request.stderr;
}

test('without any option the defaults hold', () => {
  const { config, password, warnings, given } = loaded([]);
  assert.deepEqual(config, {
    host: null,
    port: 6783,
    minProtocolVersion: 1,
    maxProtocolVersion: 2,
    name: null,
    nickname: 'host1',
    trustedSubnets: [],
    ciphers: ['aes-256-gcm', 'nacl'],
    offloads: { noGso: false, noGro: false, noVnetHdr: false, noUring: false },
    queues: 1,
    rekeyIntervalMs: 30 * 60_000,
    busyPoll: true,
    discovery: true,
    lanDiscovery: false,
    noMasqLocal: false,
    resume: false,
    takeOver: false,
    connLimit: 200,
    peers: [],
    http: { kind: 'tcp', host: '127.0.0.1', port: 6784 },
    status: { kind: 'tcp', host: '127.0.0.1', port: 6782 },
    metrics: null,
    socketPath: '/run/weave/weave.sock',
    bridge: 'weave',
    mtu: null,
    dbPrefix: '/var/lib/weave/weave',
    hostRoot: '',
    procPath: '/proc',
    dns: {
      domain: 'weave.local.',
      listen: { host: '0.0.0.0', port: 53 },
      ttlSeconds: 1,
      upstreamTimeoutMs: 5000,
      resolvConfPath: '/etc/resolv.conf',
      allowed: [],
      naming: { label: null, match: /(.*)/, replacement: '$1' },
    },
    ipam: {
      universe: parseCidr('10.32.0.0/12'),
      defaultSubnet: parseCidr('10.32.0.0/12'),
      init: { mode: 'consensus', peers: null },
      reclaimAfterMs: null,
      allowOverlap: false,
    },
    engineSockets: ['/var/run/docker.sock', '/run/podman/podman.sock'],
    logLevel: 'info',
    logFormat: 'text',
  });
  assert.ok(Object.isFrozen(config));
  assert.deepEqual([password, warnings, given], [null, [], '']);
});

test('options of the name service', () => {
  const { config } = loaded([
    ...['--dns-domain', 'Foo.Bar', '--dns-listen-address=[fd00::1]:5353', '--dns-ttl=30'],
    ...['--dns-fallback-timeout', '1.5s', '--resolv-conf=', '--dns-allow', '10.0.0.0/8, fd00::/8'],
    ...['--hostname-from-label', 'name', '--hostname-match', '^aws-[0-9]+-(.*)$'],
    ...['--hostname-replacement', 'my-$1', '--docker-api=unix:///x.sock'],
  ]);
  assert.deepEqual(config.dns, {
    domain: 'foo.bar.',
    listen: { host: 'fd00::1', port: 5353 },
    ttlSeconds: 30,
    upstreamTimeoutMs: 1500,
    resolvConfPath: null,
    allowed: ['10.0.0.0/8', 'fd00::/8'],
    naming: { label: 'name', match: /^aws-[0-9]+-(.*)$/, replacement: 'my-$1' },
  });
  assert.deepEqual(config.engineSockets, ['/x.sock']);
  assert.equal(loaded(['--no-dns']).config.dns, null);
  for (const [option, text] of [
    ['--dns-listen-address=localhost:53', /expected ADDRESS:PORT or \[IPV6\]:PORT/],
    ['--dns-listen-address=10.0.0.1', /invalid DNS listen address "10.0.0.1"/],
    ['--dns-domain=a..b', /an empty label/],
    ['--dns-ttl=-1', /a number from 0 to 86400/],
    ['--dns-fallback-timeout=5', /like 5s or 500ms/],
    ['--dns-allow=10.0.0.0', /invalid CIDR address: 10.0.0.0/],
    ['--hostname-match=(', /[Rr]egular expression|Unterminated/],
    ['--resolv-conf=x', /an absolute path or nothing/],
  ] as const) {
    assert.match(refused([option]), text, option);
  }
});

test('offloads are taken away one by one, from every place', () => {
  const env = { WEAVE_NO_GRO: '1', WEAVE_NO_URING: '' };
  const files = { [YAML]: 'no-vnet-hdr: true\nno-uring: false\n' };
  const { config } = loaded(['--no-gso'], { env, files });
  assert.deepEqual(config.offloads, {
    noGso: true,
    noGro: true,
    noVnetHdr: true,
    noUring: false,
  });
});

test('all forms of options, and peers between them', () => {
  const { config, given } = loaded([
    ...['--port', '7000', 'peer1', '--name=::1', '--nickname', 'the host', '--no-discovery'],
    ...['--trusted-subnets', '10.9.1.1/16, 198.51.100.13/32', '--conn-limit=0', '--mtu', '8900'],
    ...['--http-addr', '/run/x.sock', '--status-addr=', '--metrics-addr', ':9000', '--socket='],
    ...[
      '--cipher',
      'nacl , aes-256-gcm',
      '--no-fastdp=true',
      '--resume=false',
      '--min-protocol-version=2',
      '--',
      '--odd',
    ],
  ]);
  assert.equal(config.port, 7000);
  assert.deepEqual(config.peers, ['peer1', '--odd']);
  assert.equal(formatPeerName(config.name as NonNullable<typeof config.name>), '00:00:00:00:00:01');
  assert.equal(config.nickname, 'the host');
  assert.equal(config.discovery, false);
  assert.deepEqual(
    config.trustedSubnets.map((subnet) => subnet.prefixLength),
    [16, 32],
  );
  assert.equal(config.trustedSubnets[0]?.address, 0x0a090000);
  assert.deepEqual([config.connLimit, config.mtu, config.minProtocolVersion], [0, 8900, 2]);
  assert.deepEqual(config.http, { kind: 'unix', path: '/run/x.sock' });
  assert.deepEqual([config.status, config.socketPath], [null, null]);
  assert.deepEqual(config.metrics, { kind: 'tcp', host: null, port: 9000 });
  assert.deepEqual(config.ciphers, ['aes-256-gcm', 'nacl'], 'the ranking is fixed');
  assert.deepEqual(loaded(['--cipher=nacl']).config.ciphers, ['nacl']);
  assert.match(given, /^port=7000 name=::1 .*peer1 --odd$/);
});

test('the command line wins over the environment, that over the file', () => {
  const files = {
    [YAML]: 'port: 1\nmtu: 1000\nconn-limit: 5\npeers: [a, b]\nno-discovery: true\n',
  };
  const env = { WEAVE_PORT: '2', WEAVE_MTU: '2000', WEAVE_HTTP_ADDR: '' };
  const { config } = loaded(['--port=3'], { env, files });
  assert.deepEqual([config.port, config.mtu, config.connLimit], [3, 2000, 5]);
  assert.deepEqual([config.peers, config.discovery], [['a', 'b'], false]);
  assert.deepEqual(loaded(['c', '--no-discovery=false'], { env, files }).config.peers, ['c']);
  assert.ok(loaded([], { env: { WEAVE_NO_FASTDP: '0' } }));
});

test('errors name the field as the user wrote it and what is expected', () => {
  const files = { [YAML]: 'port: lots\nconlimit: 3\nmtu: [1, {a: 1}]\npassword: x\n' };
  const text = refused(['--conn-limit=many', '--mtu'], { env: { WEAVE_MTU: '12' }, files });
  const lines = text.trimEnd().split('\n').sort();
  assert.deepEqual(lines, [
    '--conn-limit: expected a number from 0 to 100000, got "many"',
    '--mtu: expected a value after it',
    'WEAVE_MTU: expected 0 or a number from 576 to 65535, got "12"',
    `conlimit in ${YAML}: there is no such option`,
    `mtu in ${YAML}: expected text, a number, true or false, or a list`,
    `password in ${YAML}: a password does not belong into this file; name its own file by ` +
      'password-file',
    `port in ${YAML}: expected a number from 1 to 65534, got "lots"`,
  ]);
});

test('wrong values of every kind are refused', () => {
  for (const option of [
    ...['--port=65535', '--host=example.com', '--name=x', '--name=1:2', '--trusted-subnets=10.0/8'],
    ...[
      '--http-addr=foo',
      '--http-addr=:99999',
      '--socket=run',
      '--weave-bridge=much-too-long-a-name',
    ],
    ...['--weave-bridge=a/b', '--log-level=loud', '--log-format=xml', '--min-protocol-version=3'],
    ...[
      '--cipher=',
      '--cipher=des,nacl',
      '--resume=maybe',
      '--nickname=a\nb',
      '--db-prefix=',
      '--mtu=575',
      '--config=/nope',
    ],
  ]) {
    assert.match(refused([option]), new RegExp(`^${option.split('=')[0]}: `), option);
  }
  assert.match(refused(['--resume', 'peer']), /^--resume: .*peer list/);
  assert.match(refused(['--max-protocol-version=1', '--min-protocol-version=2']), /is above/);
});

test('a file that is no mapping, or no YAML, says where', () => {
  assert.match(refused([], { files: { [YAML]: '- a\n' } }), /expected lines of the form/);
  assert.match(refused([], { files: { [YAML]: 'a: [\n' } }), /weave.yaml: .*line 2/);
  assert.equal(loaded([], { files: { [YAML]: '' } }).config.port, 6783);
  assert.equal(loaded(['--config=/x'], { files: { '/x': 'port: 9' } }).config.port, 9);
});

test('options of absent parts are warned of or refused, never ignored in silence', () => {
  const { warnings } = loaded([
    ...['--proxy', '--plugin=false', '--bufsz=8'],
    ...['-H', 'unix:///x', '--no-dns'],
  ]);
  assert.deepEqual(warnings, [
    '--proxy: there is no Docker API proxy in this version; the option has no effect',
    '--bufsz: frames are captured by a TAP device, which has no such buffer',
    '-H: there is no Docker API proxy in this version; the option has no effect',
  ]);
  assert.match(refused(['--awsvpc']), /^--awsvpc: routes in the cloud/);
  assert.match(refused(['--token', 'x']), /^--token: there is no peer discovery service/);
  assert.match(loaded(['--http-addr=:6784']).warnings.join(), /no authentication/);
  assert.match(loaded(['--trusted-subnets=10.0.0.0/8']).warnings.join(), /no effect without/);
});

test('options of the allocator', () => {
  const ipam = (...argv: string[]) => loaded(argv).config.ipam;
  assert.equal(ipam('--ipalloc-range='), null);
  assert.equal(ipam('--ipalloc-range=', '--ipalloc-init='), null);
  const subnet = ipam('--ipalloc-range=10.2.0.0/16', '--ipalloc-default-subnet=10.2.8.0/24');
  assert.deepEqual(subnet?.defaultSubnet, parseCidr('10.2.8.0/24'));
  const env = { WEAVE_IPALLOC_RANGE: '10.3.0.0/16' };
  assert.deepEqual(loaded([], { env }).config.ipam?.universe, parseCidr('10.3.0.0/16'));
  const inits: Record<string, unknown> = {
    consensus: { mode: 'consensus', peers: null },
    'consensus=3': { mode: 'consensus', peers: 3 },
    'consensus=0': { mode: 'consensus', peers: null },
    'seed=': { mode: 'consensus', peers: null },
    'seed=::1,82:00:00:00:00:02': {
      mode: 'seed',
      peers: [parsePeerName('::1'), parsePeerName('82:00:00:00:00:02')],
    },
    observer: { mode: 'observer' },
  };
  for (const [text, init] of Object.entries(inits)) {
    assert.deepEqual(ipam(`--ipalloc-init=${text}`)?.init, init, text);
  }
  assert.equal(ipam('--ipalloc-reclaim-after=36h')?.reclaimAfterMs, 36 * 3_600_000);
  assert.match(
    loaded(['--name=::9', '--ipalloc-init=seed=::1']).warnings.join(),
    /00:00:00:00:00:09 \(this peer\) is not in the seed list/,
  );
  assert.deepEqual(loaded(['--docker-api=']).config.engineSockets, []);
  assert.deepEqual(loaded(['--docker-api=unix:///a,/b']).config.engineSockets, ['/a', '/b']);
});

test('bad options of the allocator say what is wrong', () => {
  const cases: Record<string, RegExp> = {
    '--ipalloc-range=10.32.0.1/12':
      /^--ipalloc-range: invalid subnet - bits after .* are not all zero: 10.32.0.1\/12$/m,
    '--ipalloc-range=10.32.0.0/31': /invalid subnet - smaller than minimum size 4/,
    '--ipalloc-range=ten': /^--ipalloc-range: invalid CIDR address: ten$/m,
    '--ipalloc-default-subnet=10.2.0.0/16':
      /subnet 10.2.0.0\/16 does not overlap with allocation range 10.32.0.0\/12/,
    '--ipalloc-init=paxos': /Unable to parse --ipalloc-init: unknown mode: paxos/,
    '--ipalloc-init=consensus=x': /bad consensus parameter/,
    '--ipalloc-init=seed': /seed mode requires peer name list/,
    '--ipalloc-init=seed=::1,x': /bad seed parameter: .*invalid peer name format: "x"/,
    '--ipalloc-init=observer=1': /observer mode takes no parameter/,
    '--ipalloc-reclaim-after=10s': /expected a time from 5m to 365d/,
    '--docker-api=tcp://127.0.0.1:2375': /^--docker-api: expected Unix sockets like unix:/,
  };
  for (const [option, message] of Object.entries(cases)) assert.match(refused([option]), message);
  const off = ['--ipalloc-range=', '--ipalloc-default-subnet=10.2.0.0/16'];
  assert.match(refused(off), /^--ipalloc-default-subnet: specified without --ipalloc-range\.$/m);
});

test('keys for data change every two to thirty minutes', () => {
  const interval = (text: string): number =>
    loaded([`--rekey-interval=${text}`]).config.rekeyIntervalMs;
  assert.deepEqual(['2m', '150s', '30m'].map(interval), [120_000, 150_000, 1_800_000]);
  const env = { WEAVE_REKEY_INTERVAL: '5m' };
  assert.equal(loaded([], { env }).config.rekeyIntervalMs, 300_000);
  for (const text of ['119s', '31m', '0', '2', '', 'm', '-3m', '2m30s', '1e2s']) {
    const words = refused([`--rekey-interval=${text}`]);
    assert.match(words, /^--rekey-interval: expected a time from 2m to 30m/m, text);
  }
});

test('unknown options, help and version end as the original does', () => {
  for (const option of ['--nope', '-x', '--nope=1', '-port', '--H']) {
    const request = start([option]);
    assert.ok(request.kind === 'exit');
    assert.equal(request.code, 125);
    const first = request.stderr.split('\n')[0];
    assert.equal(first, `flag provided but not defined: ${option.split('=')[0]}`);
  }
  const help = start(['--help']);
  assert.ok(help.kind === 'exit' && help.code === 125 && help.stderr.includes('--trusted-subnets'));
  assert.deepEqual(start(['--version']), {
    kind: 'exit',
    code: 0,
    stdout: 'weave 3.0.0\n',
    stderr: '',
  });
  assert.equal(start(['--print-peer-name']).kind, 'print-peer-name');
});

test('--check-config tells everything at once', () => {
  const good = start(['--check-config', '--proxy']);
  assert.ok(good.kind === 'exit' && good.code === 0 && good.stdout === 'ok\n');
  assert.match(good.stderr, /^warning: --proxy: /);
  const bad = refused(['--check-config', '--nope', '--port=x']);
  assert.match(bad, /^--nope: there is no such option\n--port: expected/);
});

test('the password comes from the nearest place', () => {
  const files = { '/p1': 'file1\n', '/p2': 'file2\r\n', [YAML]: 'password-file: /p2\n' };
  const env = { WEAVE_PASSWORD: 'env', WEAVE_PASSWORD_FILE: '/p1' };
  const found = (argv: string[], given: Given): string | null => {
    const { password } = loaded(argv, given);
    return password === null ? null : fromUtf8(password);
  };
  assert.equal(found(['--password=arg', '--password-file=/p1'], { env, files }), 'arg');
  assert.equal(found(['--password-file=/p1'], { env, files }), 'file1');
  assert.equal(found([], { env, files }), 'env');
  assert.equal(found([], { env: { WEAVE_PASSWORD_FILE: '/p1' }, files }), 'file1');
  assert.equal(found([], { files }), 'file2');
  assert.equal(found(['--password='], { files, env }), null);
  const credentials = {
    env: { CREDENTIALS_DIRECTORY: '/c' },
    files: { '/c/weave-password': 'cred' },
  };
  assert.equal(found([], credentials), 'cred');
  assert.equal(found([], { env: { CREDENTIALS_DIRECTORY: '/c' } }), null);
});

test('a password file that would switch encryption off is an error', () => {
  const argv = ['--password-file=/p'];
  assert.match(refused(argv), /^--password-file: there is no file \/p/);
  assert.match(refused(argv, { files: { '/p': '\n' } }), /holds 0 bytes/);
  assert.match(refused(argv, { files: { '/p': 'a\nb\n' } }), /several lines/);
  assert.match(refused(argv, { files: { '/p': 'x'.repeat(5000) } }), /holds 5000 bytes/);
  const { warnings } = loaded(argv, { files: { '/p': 'a' }, mode: 0o644 });
  assert.match(warnings.join(), /can be read by other users/);
});

test('no secret is shown', () => {
  const env = { WEAVE_PASSWORD: 'hidden-env' };
  const { given, config } = loaded(['--password', 'hidden-arg', '--port=1'], { env });
  assert.equal(given, 'password=<redacted> port=1');
  assert.ok(!JSON.stringify(config).includes('hidden'));
  const argv = ['--password', 'a', '--password=b', '-password', 'c', '--token=d', 'peer'];
  assert.deepEqual(redactArguments(argv), [
    ...['--password', '<redacted>', '--password=<redacted>', '-password', '<redacted>'],
    ...['--token=<redacted>', 'peer'],
  ]);
});

test('any words end in a request, never in an exception', () => {
  const word = fc.oneof(
    fc.string(),
    fc.constantFrom('--port', '--', '-', '--=', '--name=', '-H', '--password', '--check-config'),
  );
  fc.assert(
    fc.property(fc.array(word, { maxLength: 6 }), fc.string(), (argv, yaml) => {
      const request = start(argv, { files: { [YAML]: yaml } });
      assert.ok(['run', 'exit', 'print-peer-name'].includes(request.kind));
    }),
    { numRuns: 500 },
  );
});
