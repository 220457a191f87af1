/** A change of keys at either end: derivation, a new OpenSSL context, the old one wiped. */
import { KEY_LIMITS, ReceiveKeys, SendKeys } from '../../fastdp/key-schedule.js';
import { aead, LOCAL, REMOTE } from './rig.js';
import type { Stage } from './timing.js';

const CHANGES = 16;
const PLAINTEXT_BYTES = 64;
const SLOT_BYTES = 128;

export function rekeyStages(): Stage[] {
  const modules = { aead };
  const options = {
    sessionKey: new Uint8Array(32).fill(7),
    connectionUid: 1n,
    sender: LOCAL,
    receiver: REMOTE,
  };
  const buffer = new Uint8Array(CHANGES * SLOT_BYTES);
  const sealAll = (keys: SendKeys): void => {
    for (let i = 0; i < CHANGES; i++) keys.seal(buffer, i * SLOT_BYTES, PLAINTEXT_BYTES);
  };
  // Each datagram comes under a key of its own.
  const limits = { ...KEY_LIMITS, datagrams: 1 };
  const alone = new SendKeys(options, limits, modules);
  const sender = new SendKeys(options, limits, modules);
  const receiver = new ReceiveKeys(options, modules);
  const datagramBytes = 16 + PLAINTEXT_BYTES + 16;
  const openAll = (): void => {
    for (let i = 0; i < CHANGES; i++) {
      const reason = receiver.open(buffer, i * SLOT_BYTES, datagramBytes, 1);
      if (reason !== 0) throw new Error(`a datagram did not open: ${reason}`);
    }
  };
  return [
    { name: 'change of keys, sender', packets: CHANGES, run: () => sealAll(alone) },
    {
      name: 'change of keys, receiver',
      packets: CHANGES,
      prepare: () => sealAll(sender),
      run: openAll,
    },
  ];
}
