/** Underlays that several tests use. Host addresses are 198.51.100.0/24 and 203.0.113.0/24. */

import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Lab } from './lab.js';
import { Host, ownRouter, type RouterKind } from './lab-host.js';
import { waitFor } from './wait.js';

const BAD_CABLE = join(dirname(fileURLToPath(import.meta.url)), 'bad-cable.js');

/**
 * Hosts 1…n on one Ethernet switch.
 *
 *   h1 198.51.100.1 ──┐
 *   h2 198.51.100.2 ──┼── switch
 *   hn 198.51.100.n ──┘
 *
 * The switch's ports are called `h1`, `h2`, … The MTU of a port limits what the switch passes on,
 * silently, like a switch does.
 */
export function switchedHosts(
  lab: Lab,
  count: number,
  options: { mtu?: number; kinds?: readonly RouterKind[] } = {},
): { hosts: Host[]; switchNetns: string } {
  const { mtu = 1500, kinds = [] } = options;
  const switchNetns = lab.addNetns('switch');
  lab.ip(switchNetns, ['link add br0 type bridge', 'link set br0 up']);
  const hosts: Host[] = [];
  for (let index = 1; index <= count; index += 1) {
    const netns = lab.addNetns(`h${index}`);
    lab.cable({ netns: switchNetns, device: `h${index}` }, { netns, device: 'eth0' }, mtu);
    lab.ip(switchNetns, [`link set h${index} master br0`]);
    const address = `198.51.100.${index}`;
    lab.ip(netns, [`addr add ${address}/24 dev eth0`]);
    hosts.push(new Host(lab, index, netns, address, kinds[index - 1] ?? ownRouter));
  }
  return { hosts, switchNetns };
}

/**
 * Two hosts in different networks, an IP router between them.
 *
 *   h1 198.51.100.1 ── .254 [gateway] 203.0.113.254 ── h2 203.0.113.1
 *
 * The gateway's interfaces are `left` and `right`. It sends ICMP when a packet does not fit.
 * @param masquerade the gateway hides h1 behind its own address and changes source ports.
 */
export function routedHosts(
  lab: Lab,
  options: { mtu?: number; masquerade?: boolean } = {},
): { hosts: [Host, Host]; gatewayNetns: string } {
  const { mtu = 1500, masquerade = false } = options;
  const gatewayNetns = lab.addNetns('gateway');
  const left = lab.addNetns('h1');
  const right = lab.addNetns('h2');
  lab.cable({ netns: gatewayNetns, device: 'left' }, { netns: left, device: 'eth0' }, mtu);
  lab.cable({ netns: gatewayNetns, device: 'right' }, { netns: right, device: 'eth0' }, mtu);
  lab.ip(gatewayNetns, [
    'addr add 198.51.100.254/24 dev left',
    'addr add 203.0.113.254/24 dev right',
  ]);
  lab.sysctl(gatewayNetns, 'net/ipv4/ip_forward', '1');
  lab.ip(left, ['addr add 198.51.100.1/24 dev eth0', 'route add default via 198.51.100.254']);
  lab.ip(right, ['addr add 203.0.113.1/24 dev eth0']);
  if (masquerade) {
    // Without a route back, h2 can only answer what the gateway translated.
    lab.nft(
      gatewayNetns,
      `table ip nat {
        chain post {
          type nat hook postrouting priority 100;
          oifname "right" meta l4proto { tcp, udp } masquerade to :40000-50000 random
          oifname "right" masquerade
        }
      }`,
    );
  } else {
    lab.ip(right, ['route add default via 203.0.113.254']);
  }
  const hosts: [Host, Host] = [
    new Host(lab, 1, left, '198.51.100.1'),
    new Host(lab, 2, right, '203.0.113.1'),
  ];
  return { hosts, gatewayNetns };
}

/**
 * Two hosts and a cable that loses and reorders frames in both directions.
 *
 *   h1 198.51.100.1 ══ bad-cable.ts ══ 198.51.100.2 h2
 */
export async function badlyCabledHosts(
  lab: Lab,
  faults: { seed: number; lossPercent: number; reorderPercent: number },
): Promise<[Host, Host]> {
  const [left, right] = [lab.addNetns('h1'), lab.addNetns('h2')] as const;
  const { seed, lossPercent, reorderPercent } = faults;
  const argv = [left, right, 'eth0', seed, lossPercent, reorderPercent].map(String);
  const cable = lab.start(left, [process.execPath, BAD_CABLE, ...argv], { label: 'cable' });
  for (const [index, netns] of [left, right].entries()) {
    await waitFor('cable', 10_000, async () => {
      if (!cable.running()) throw new Error('the cable broke');
      return (await lab.exec(netns, ['ip', 'link', 'show', 'eth0'])).code === 0;
    });
    lab.ip(netns, ['link set eth0 up', `addr add 198.51.100.${index + 1}/24 dev eth0`]);
  }
  return [new Host(lab, 1, left, '198.51.100.1'), new Host(lab, 2, right, '198.51.100.2')];
}
