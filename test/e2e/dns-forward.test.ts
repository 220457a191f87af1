/**
 * Names of the rest of the world, and answers of any size.
 *
 *   [h1] ── switch ── [h2] dnsmasq 198.51.100.2, .102, .103: the resolvers of h1
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { dig, digShort } from '../support/dns-client.js';
import { e2e } from '../support/e2e.js';
import type { Lab } from '../support/lab.js';
import type { Host } from '../support/lab-host.js';
import { switchedHosts } from '../support/lab-topologies.js';
import { waitFor } from '../support/wait.js';

const TOOLS = ['dig', 'dnsmasq'];
const RESOLVERS = ['198.51.100.2', '198.51.100.102'] as const;

/** A resolver that knows `www.example` under an address of its own. */
function startResolver(lab: Lab, host: Host, address: string, known: string): void {
  lab.start(
    host.netns,
    [
      ...['dnsmasq', '--keep-in-foreground', '--no-resolv', '--no-hosts', '--conf-file=/dev/null'],
      ...[`--listen-address=${address}`, '--bind-interfaces', '--pid-file='],
      ...[`--address=/www.example/${known}`, '--local=/example/', '--user=root'],
    ],
    { label: `dnsmasq-${address}` },
  );
}

function start(lab: Lab): { h1: Host; h2: Host; resolvConf: string } {
  const { hosts } = switchedHosts(lab, 2);
  const [h1, h2] = hosts as [Host, Host];
  lab.ip(h2.netns, [`addr add ${RESOLVERS[1]}/24 dev eth0`]);
  return { h1, h2, resolvConf: join(h1.folder, 'resolv.conf') };
}

e2e('other names go to the resolvers of the host, which may change', TOOLS, async (lab) => {
  const { h1, h2, resolvConf } = start(lab);
  startResolver(lab, h2, RESOLVERS[0], '192.0.2.80');
  startResolver(lab, h2, RESOLVERS[1], '192.0.2.81');
  // The option that ended the original, ourselves, and a server that is not there.
  const others = 'options trust-ad\nnameserver 127.0.0.1\nnameserver 198.51.100.99\n';
  writeFileSync(resolvConf, `${others}nameserver ${RESOLVERS[0]}\n`);
  await h1.startRouter({ args: ['--resolv-conf', resolvConf] });
  const ask = (...words: string[]) => digShort(lab, h1.netns, '127.0.0.1', ...words);
  await waitFor('answer of a resolver', 10_000, async () => {
    return `${await ask('www.example', '+time=4')}` === '192.0.2.80';
  });
  assert.deepEqual(await ask('www.example', '+tcp', '+time=4'), ['192.0.2.80']);
  const nothing = await dig(lab, h1.netns, '127.0.0.1', 'nope.example');
  assert.equal(nothing.status, 'NXDOMAIN');
  const upstream = '{{json .DNS.Upstream}}';
  assert.equal(await h1.weaveOk('report', '-f', upstream), `["198.51.100.99","${RESOLVERS[0]}"]`);
  // smoke 290 and the 5 s of the original
  writeFileSync(resolvConf, `nameserver ${RESOLVERS[1]}\n`);
  await waitFor('answer of the new resolver', 5_000, async () => {
    return `${await ask('www.example')}` === '192.0.2.81';
  });
  writeFileSync(resolvConf, '');
  await waitFor('no resolver', 5_000, async () => {
    return (await dig(lab, h1.netns, '127.0.0.1', 'www.example')).status === 'SERVFAIL';
  });
  await h1.weaveOk('dns-add', '10.1.0.1', '-h', 'still.weave.local');
  assert.deepEqual(await ask('still'), ['10.1.0.1']);
});

e2e('two routers that are each other’s resolvers end the circle', TOOLS, async (lab) => {
  const { h1, h2, resolvConf } = start(lab);
  writeFileSync(resolvConf, `nameserver ${h2.address}\n`);
  const back = join(h2.folder, 'resolv.conf');
  writeFileSync(back, `nameserver ${h1.address}\n`);
  await h2.startRouter({ args: ['--resolv-conf', back] });
  await h1.startRouter({ args: ['--resolv-conf', resolvConf] });
  await waitFor('circle found', 5_000, async () => {
    return /sends our queries back/.test(
      await h1.weaveOk('report', '-f', '{{.WeaveNet.Warnings}}'),
    );
  });
  const { status } = await dig(lab, h1.netns, '127.0.0.1', 'www.example');
  assert.equal(status, 'SERVFAIL');
});

e2e('fifty addresses: cut over UDP, whole over TCP and with EDNS', TOOLS, async (lab) => {
  const { h1 } = start(lab);
  await h1.startRouter({ args: ['--resolv-conf='] });
  const addresses = Array.from({ length: 50 }, (_, i) => `10.2.1.${i + 1}`);
  await h1.weaveOk('dns-add', ...addresses, '-h', 'fifty.weave.local');
  const ask = (...words: string[]) =>
    dig(lab, h1.netns, '127.0.0.1', 'fifty.weave.local', ...words);
  const cut = await ask('+ignore');
  assert.ok(cut.flags.includes('tc'));
  assert.ok(cut.answers.length >= 14 && cut.answers.length < 50, `${cut.answers.length}`);
  for (const whole of [await ask(), await ask('+tcp'), await ask('+edns', '+bufsize=1232')]) {
    assert.equal(whole.answers.length, 50);
    assert.ok(!whole.flags.includes('tc'));
  }
});

e2e('strangers get a refusal no longer than their query, others by option', TOOLS, async (lab) => {
  const { h1, h2 } = start(lab);
  // Their network is none of h1's: it is reached by a route.
  lab.ip(h2.netns, ['addr add 203.0.113.9/24 dev lo']);
  lab.ip(h1.netns, ['route add 203.0.113.0/24 via 198.51.100.2']);
  await h1.startRouter({ args: ['--resolv-conf='] });
  await h1.weaveOk('dns-add', '10.1.0.1', '-h', 'one.weave.local');
  const asStranger = () =>
    dig(lab, h2.netns, h1.address, '-b', '203.0.113.9', 'one.weave.local', '+nocmd');
  assert.equal((await asStranger()).status, 'REFUSED');
  assert.deepEqual(await digShort(lab, h2.netns, h1.address, 'one.weave.local'), ['10.1.0.1']);
  // The thread tells its counts four times a second.
  await waitFor('the count', 30_000, async () => {
    const metrics = await h1.api('GET', '/metrics');
    return /^weave_dns_drops_total\{reason="stranger"\} 1$/m.test(metrics.body);
  });
  await h1.stopRouter();
  await h1.startRouter({ args: ['--resolv-conf=', '--dns-allow', '203.0.113.0/24'] });
  assert.equal((await asStranger()).status, 'NOERROR');
});
