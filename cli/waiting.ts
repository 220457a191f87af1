/** Calls that may wait for the allocator: after a while the user is told why. */
import type { AddressesReply } from '../router/api-types.js';
import { type ApiRequest, call } from './client.js';
import type { CommandContext } from './command.js';
import { CommandFailure } from './exit.js';

/** A vote among peers takes less. */
const PATIENCE_MS = 3_000;

/** Waits as long as it takes; ending the command ends the request. */
export async function callPatiently(
  context: CommandContext,
  request: ApiRequest,
  unreachableExit?: number,
): Promise<string> {
  const explain = async (): Promise<void> => {
    const findings = await readFindings(context);
    if (findings.length === 0) return;
    context.note('Waiting for an address (weave ipam check tells more):');
    for (const finding of findings) context.note(`  ${finding}`);
  };
  const cancel = context.host.after(PATIENCE_MS, () => {
    explain().catch((error: unknown) => {
      // Whoever can't be asked why has nothing to say; the call itself will tell.
      if (!(error instanceof CommandFailure)) throw error;
    });
  });
  try {
    return await call(context.client, { ...request, timeoutMs: null }, unreachableExit);
  } finally {
    cancel();
  }
}

/** Likewise, for the routes that answer with addresses. */
export async function callForAddresses(
  context: CommandContext,
  path: string,
  json: unknown,
): Promise<AddressesReply> {
  const body = await callPatiently(context, { method: 'POST', path, json });
  return JSON.parse(body) as AddressesReply;
}

/** @throws {CommandFailure} */
export async function readFindings(context: CommandContext): Promise<readonly string[]> {
  const body = await call(context.client, { method: 'GET', path: '/ipam/check' });
  return (JSON.parse(body) as { findings: string[] }).findings;
}
