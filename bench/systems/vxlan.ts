/** The kernel's own overlay, in the clear, on the same bridges. */
import type { Endpoint } from '../endpoint.js';
import type { System } from '../system.js';

export const vxlan: System = {
  id: 'vxlan',
  label: 'kernel VXLAN, plaintext',
  group: 'baseline',
  needs: {},
  start: async (setting) => {
    const ends = setting.hosts.map((host) => {
      const remote = setting.otherOf(host).address;
      const device = `link add vx0 type vxlan id 42 remote ${remote} dstport 4789 dev eth0`;
      setting.lab.ip(host.netns, [device]);
      return setting.bridged(host, 'vx0');
    });
    const [from, to] = ends as [Endpoint, Endpoint];
    return { from, to, pids: [] };
  },
};
