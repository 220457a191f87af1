/** Small files of this host that decide how the router starts: settings, password, identities. */
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { errorCode } from '../../core/errors.js';
import type { SystemIds } from '../derive-peer-name.js';
import type { FileReading } from '../password.js';

/** Larger files are refused unread. */
const MAX_FILE_BYTES = 1024 * 1024;

/** A sentence instead of an exception, since the caller reports it with the option's name. */
export function readLocalFile(path: string): FileReading {
  let fd: number | null = null;
  try {
    fd = openSync(path, 'r');
    const stat = fstatSync(fd);
    if (!stat.isFile() && !stat.isFIFO()) {
      return { ok: false, missing: false, text: `${path} is not a file` };
    }
    if (stat.size > MAX_FILE_BYTES) {
      return { ok: false, missing: false, text: `${path} is larger than ${MAX_FILE_BYTES} bytes` };
    }
    return { ok: true, text: readFileSync(fd, 'utf8'), mode: stat.mode & 0o777 };
  } catch (error) {
    const code = errorCode(error);
    const missing = code === 'ENOENT' || code === 'ENOTDIR';
    const text = missing ? `there is no file ${path}` : `can't read ${path} (${code})`;
    return { ok: false, missing, text };
  } finally {
    if (fd !== null) closeSync(fd);
  }
}

/** The first file that can be read and is not empty. */
function firstOf(paths: readonly string[]): Uint8Array {
  for (const path of paths) {
    try {
      const bytes = readFileSync(path);
      if (bytes.length > 0) return new Uint8Array(bytes);
    } catch {
      // An identity that is absent or not readable leaves the others.
    }
  }
  return new Uint8Array(0);
}

/** @param hostRoot where the host's file system is mounted; empty for here. */
export function readSystemIds(hostRoot: string): SystemIds {
  return {
    machineId: firstOf([`${hostRoot}/etc/machine-id`, `${hostRoot}/var/lib/dbus/machine-id`]),
    hardwareUuid: firstOf(['/sys/class/dmi/id/product_uuid', '/sys/hypervisor/uuid']),
  };
}
