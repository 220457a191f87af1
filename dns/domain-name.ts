/**
 * Domain names as text: with a final dot once inside, compared label by label without regard to
 * case. Source: RFC 1035 2.3, RFC 4343 (only ASCII letters have a case).
 */
import { DecodeError } from '../core/errors.js';

/** Without the final dot; 255 bytes on the wire with its length bytes and the root. */
const MAX_NAME_CHARS = 253;
const MAX_LABEL_CHARS = 63;

/** What SRV names need besides letters, digits and hyphens is the underscore. */
const LABEL = /^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?$/;

export const ROOT = '.';

export function fullyQualified(name: string): string {
  return name.endsWith('.') ? name : `${name}.`;
}

/** The form in which names are compared. */
export function canonical(name: string): string {
  return fullyQualified(name).toLowerCase();
}

/**
 * @param text with or without the final dot.
 * @returns the same, case kept, with the final dot.
 * @throws {DecodeError} `name-invalid`; the message says what is wrong with which label.
 */
export function parseHostName(text: string): string {
  const name = text.endsWith('.') ? text.slice(0, -1) : text;
  const shown = JSON.stringify(text.slice(0, 100));
  if (name.length > MAX_NAME_CHARS) {
    throw new DecodeError(
      'name-invalid',
      `${shown} is no name: longer than ${MAX_NAME_CHARS} characters`,
    );
  }
  for (const label of name.split('.')) {
    if (label === '') throw new DecodeError('name-invalid', `${shown} is no name: an empty label`);
    if (label.length > MAX_LABEL_CHARS) {
      throw new DecodeError(
        'name-invalid',
        `${shown} is no name: a label is longer than ${MAX_LABEL_CHARS} characters`,
      );
    }
    if (!LABEL.test(label)) {
      throw new DecodeError(
        'name-invalid',
        `${shown} is no name: labels hold letters, digits, "-" and "_", and no "-" at an end`,
      );
    }
  }
  return `${name}.`;
}

/** Both canonical. The domain lies within itself. */
export function isWithin(name: string, domain: string): boolean {
  return domain === ROOT || name === domain || name.endsWith(`.${domain}`);
}

/** Something to be completed with a domain: `one.`, but not the root. */
export function isSingleLabel(name: string): boolean {
  return name !== ROOT && name.indexOf('.') === name.length - 1;
}

/** The name without its first label; the root for a single label. */
export function parentOf(name: string): string {
  const dot = name.indexOf('.');
  return dot < 0 || dot === name.length - 1 ? ROOT : name.slice(dot + 1);
}
