/** No overlay: the hosts themselves over their cable, its MTU lowered to that of the workloads. */
import type { System } from '../system.js';

export const bare: System = {
  id: 'veth',
  label: 'bare veth, no overlay',
  group: 'baseline',
  needs: {},
  start: async (setting) => {
    for (const host of setting.hosts) {
      setting.lab.ip(host.netns, [`link set eth0 mtu ${setting.workloadMtu}`]);
    }
    const [from, to] = setting.hosts;
    return { from, to, pids: [] };
  },
};
