/** What follows when something happens to the TAP device, or to the data plane that reads it. */
import { errorCode, errorText } from '../core/errors.js';
import type { Logger } from '../core/log.js';
import type { DeviceEvent } from '../fastdp/io/messages.js';

export interface DeviceEventModules {
  /** Puts a new device on the bridge. */
  readonly attachTap: () => Promise<void>;
  /** Nothing works without the data plane. */
  readonly onEnd: (fault: string) => void;
  readonly log: Logger;
}

export function handleDeviceEvent(event: DeviceEvent, modules: DeviceEventModules): void {
  const { attachTap, onEnd, log } = modules;
  switch (event.type) {
    case 'tap-opened':
      attachTap().catch((error: unknown) => {
        const fields = { code: errorCode(error), error: errorText(error) };
        log.error('the new TAP device could not be put on the bridge', fields);
      });
      return;
    case 'loop-ended':
      onEnd(`the data plane ended: ${event.text}`);
      return;
    case 'tap-lost':
      log.warn('the TAP device is gone; making it again', { code: event.code });
      return;
    case 'tap-down':
      log.warn('the TAP device is set down: no frame passes');
      return;
    case 'tap-up':
      log.info('the TAP device is up again');
  }
}
