/** What users call a workload on the bridge, and how it is listed. Source: reference/cli.md 5. */
import type { AttachmentView } from '../router/api-types.js';

const SHORT_ID_CHARS = 12;
/** Docker takes fewer, too, if nobody else's id begins so. */
const ID_START = /^[0-9a-f]{4,64}$/;

/** Containers by the start of their id, whatever they were called when they were attached. */
export function shownName({ target, container }: AttachmentView): string {
  return container === null ? target : container.id.slice(0, SHORT_ID_CHARS);
}

/** @param word as attached, a container's name, or the start of its id. */
export function findAttachment(
  attachments: readonly AttachmentView[],
  word: string,
): AttachmentView | undefined {
  return (
    attachments.find(({ target, container }) => target === word || container?.name === word) ??
    attachments.find(({ container }) => ID_START.test(word) && container?.id.startsWith(word))
  );
}
