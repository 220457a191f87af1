/** The route of the CNI plugin: one for all verbs, since its errors have numbers of their own. */
import type { CniControl } from '../control.js';
import { clientSignal, jsonBody, type Route, sendJson } from './answers.js';
import { cniRequest } from './cni-schema.js';
import type { WaitingRoom } from './waiting-room.js';

export function cniRoutes(cni: CniControl, waiting: WaitingRoom): Route[] {
  return [
    {
      method: 'POST',
      path: '/cni',
      handle: async (request, reply) => {
        const asked = jsonBody(cniRequest, request);
        const signal = clientSignal(reply);
        return sendJson(reply, await waiting.run(() => cni.run(asked, signal)));
      },
    },
  ];
}
