/**
 * What the API answers, one handler per route. Texts and codes are the original's where it had the
 * route. Routes of parts that are off don't exist.
 * Source: reference/http-api.md 2, 3, 6, 7, 8; vectors/http-api-calls.json.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { DecodeError, errorText, RequestError } from '../../core/errors.js';
import { formatCidr, parseCidr } from '../../core/ip.js';
import { parseHostName } from '../../dns/domain-name.js';
import type { Control } from '../control.js';
import { runTemplate } from '../go-template.js';
import type { Health } from '../readiness.js';
import { reportJson } from '../report-json.js';
import { statusPage, statusPages } from '../status-pages.js';
import {
  clientSignal,
  jsonBody,
  parameters,
  type Route,
  sendJson,
  sendJsonText,
  sendText,
  switchParameter,
} from './answers.js';
import { cniRoutes } from './cni-routes.js';
import { ipamRoutes, peerRemovalRoutes } from './ipam-routes.js';
import { nameRoutes } from './name-routes.js';
import { attachRequest, detachRequest, exposeRequest, hideRequest } from './request-schemas.js';
import { WaitingRoom } from './waiting-room.js';

/** Peers named in one call; a longer list is a mistake. */
const MAX_PEERS_PER_REQUEST = 1000;

function hostName(text: string): string {
  try {
    return parseHostName(text);
  } catch (error) {
    throw new RequestError('name-invalid', errorText(error));
  }
}

function cidrParameter(request: FastifyRequest): string {
  const { ip, length } = request.params as { ip: string; length: string };
  try {
    return formatCidr(parseCidr(`${ip}/${length}`));
  } catch (error) {
    throw new RequestError('cidr-invalid', errorText(error));
  }
}

export function metricsRoutes(control: Control): Route[] {
  return [
    {
      method: 'GET',
      path: '/metrics',
      handle: async (_request, reply) =>
        reply.type('text/plain; version=0.0.4; charset=utf-8').send(await control.metrics()),
    },
  ];
}

/** For probes of orchestrators; the text says why not. */
function healthRoutes({ health }: Control): Route[] {
  const answer = (reply: FastifyReply, { ok, text }: Health) =>
    sendText(reply, ok ? 200 : 503, `${text}\n`);
  return [
    {
      method: 'GET',
      path: '/readyz',
      handle: async (_request, reply) => answer(reply, await health.ready()),
    },
    {
      method: 'GET',
      path: '/livez',
      handle: async (_request, reply) => answer(reply, health.live()),
    },
  ];
}

/** Read-only. */
export function statusRoutes(control: Control): Route[] {
  const statusCode = (): number => (control.ready() ? 200 : 503);
  return [
    ...metricsRoutes(control),
    ...healthRoutes(control),
    {
      method: 'GET',
      path: '/status',
      handle: async (_request, reply) =>
        sendText(reply, statusCode(), statusPage(await control.report())),
    },
    ...[...statusPages].map(
      ([name, render]): Route => ({
        method: 'GET',
        path: `/status/${name}`,
        handle: async (_request, reply) => {
          const page = render(await control.report());
          if (page === null) return sendText(reply, 404, `${name} is switched off\n`);
          return sendText(reply, statusCode(), page);
        },
      }),
    ),
    { method: 'GET', path: '/report', handle: (request, reply) => report(control, request, reply) },
  ];
}

/** JSON only for exactly this header; everything else is a template. */
async function report(control: Control, request: FastifyRequest, reply: FastifyReply) {
  if (request.headers.accept === 'application/json') {
    return sendJsonText(reply, reportJson(await control.report(), 4));
  }
  const formats = parameters(request, 'format');
  if (formats.length !== 1) {
    throw new RequestError('format-missing', 'error: must supply one format parameter');
  }
  const data = await control.report();
  try {
    const result = runTemplate(formats[0] as string, data);
    if (result.ok) return sendText(reply, 200, result.text);
    return sendText(reply, 500, `${result.text}error during template execution\n`);
  } catch (error) {
    if (error instanceof DecodeError) throw new RequestError(error.code, error.message);
    throw error;
  }
}

/** Everything: these change the network. */
export function controlRoutes(control: Control): Route[] {
  const waiting = new WaitingRoom();
  return [
    ...statusRoutes(control),
    ...peerRoutes(control),
    ...peerRemovalRoutes(control.ipam),
    ...(control.ipam === null ? [] : ipamRoutes(control.ipam, waiting)),
    ...(control.names === null ? [] : nameRoutes(control.names)),
    ...exposeRoutes(control, waiting),
    ...workloadRoutes(control, waiting),
    ...cniRoutes(control.cni, waiting),
    {
      method: 'POST',
      path: '/reset',
      handle: async (_request, reply) => {
        await control.reset();
        return sendText(reply, 204, '');
      },
    },
    {
      method: 'POST',
      path: '/stop',
      handle: async (_request, reply) => {
        reply.raw.once('close', () => control.stop());
        return sendText(reply, 202, '');
      },
    },
    {
      method: 'POST',
      path: '/hand-over',
      handle: async (_request, reply) => {
        reply.raw.once('close', () => control.handOver());
        return sendText(reply, 202, '');
      },
    },
  ];
}

function peerRoutes(control: Control): Route[] {
  const peersOf = (request: FastifyRequest): readonly string[] => {
    const peers = parameters(request, 'peer');
    if (peers.length <= MAX_PEERS_PER_REQUEST) return peers;
    throw new RequestError('too-many-peers', `peer: expected at most ${MAX_PEERS_PER_REQUEST}`);
  };
  return [
    {
      method: 'POST',
      path: '/connect',
      handle: async (request, reply) => {
        const peers = peersOf(request);
        const faults = await control.connect(peers, switchParameter(request, 'replace'));
        if (faults.length > 0) throw new RequestError('peer-invalid', faults.join('\n'));
        return sendText(reply, 200, '');
      },
    },
    {
      method: 'POST',
      path: '/forget',
      handle: async (request, reply) => {
        await control.forget(peersOf(request));
        return sendText(reply, 200, '');
      },
    },
  ];
}

function exposeRoutes(control: Control, waiting: WaitingRoom): Route[] {
  return [
    {
      method: 'POST',
      path: '/expose/:ip/:length',
      handle: async (request, reply) => {
        const cidr = cidrParameter(request);
        const masquerade = !switchParameter(request, 'skipNAT');
        try {
          await control.expose([cidr], { masquerade });
        } catch (error) {
          if (error instanceof RequestError) throw error;
          throw new RequestError('expose-failed', `unable to expose: ${errorText(error)}`, 500);
        }
        return sendText(reply, 204, '');
      },
    },
    {
      method: 'DELETE',
      path: '/expose/:ip/:length',
      handle: async (request, reply) => {
        await control.hide([cidrParameter(request)]);
        return sendText(reply, 204, '');
      },
    },
    {
      method: 'POST',
      path: '/expose',
      handle: async (request, reply) => {
        const { addresses, masquerade } = jsonBody(exposeRequest, request);
        const signal = clientSignal(reply);
        const exposed = await waiting.run(() => control.expose(addresses, { masquerade, signal }));
        return sendJson(reply, { addresses: exposed });
      },
    },
    {
      method: 'POST',
      path: '/hide',
      handle: async (request, reply) => {
        const { addresses } = jsonBody(hideRequest, request);
        return sendJson(reply, { addresses: await control.hide(addresses) });
      },
    },
    {
      method: 'GET',
      path: '/exposures',
      handle: async (_request, reply) => sendJson(reply, { exposures: await control.exposures() }),
    },
  ];
}

function workloadRoutes(control: Control, waiting: WaitingRoom): Route[] {
  return [
    {
      method: 'POST',
      path: '/attach',
      handle: async (request, reply) => {
        const { target, addresses, options } = jsonBody(attachRequest, request);
        const names = options.names.map(hostName);
        const signal = clientSignal(reply);
        const attached = await waiting.run(() =>
          control.attach(target, addresses, { ...options, names, signal }),
        );
        return sendJson(reply, { addresses: attached });
      },
    },
    {
      method: 'POST',
      path: '/detach',
      handle: async (request, reply) => {
        const { target, addresses } = jsonBody(detachRequest, request);
        return sendJson(reply, { addresses: await control.detach(target, addresses) });
      },
    },
    {
      method: 'GET',
      path: '/attachments',
      handle: async (_request, reply) =>
        sendJson(reply, { attachments: await control.attachments() }),
    },
  ];
}
