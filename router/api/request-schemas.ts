/** Checks the JSON bodies of requests; the messages reach the user. Shapes: ../api-types.ts. */
import { z } from 'zod';

/** Most addresses one attach or detach may name. */
const MAX_ADDRESSES_PER_REQUEST = 64;

const cidrText = z
  .string()
  .regex(/^\d{1,3}(\.\d{1,3}){3}\/\d{1,2}$/, 'expected an IPv4 address with prefix, 10.2.1.5/24');
const targetText = z
  .string('expected a netns name, a path, a pid or a container id')
  .min(1, 'expected a netns name, a path, a pid or a container id')
  .max(4096, 'expected at most 4096 characters');
const cidrList = z
  .array(cidrText, 'expected a list of addresses with prefix, 10.2.1.5/24')
  .min(1, 'expected at least one address with prefix, 10.2.1.5/24')
  .max(MAX_ADDRESSES_PER_REQUEST, `expected at most ${MAX_ADDRESSES_PER_REQUEST} addresses`);

/** Checked as a name where it is used; this only keeps it small. */
const nameText = z.string().min(1, 'expected a name').max(254, 'expected at most 254 characters');
/** Most names one attach may give. */
const MAX_NAMES_PER_REQUEST = 64;

export const attachRequest = z.strictObject({
  target: targetText,
  cidrs: cidrList,
  options: z
    .strictObject({
      multicastRoute: z.boolean().default(true),
      names: z.array(nameText, 'expected a list of names').max(MAX_NAMES_PER_REQUEST).default([]),
    })
    .default({ multicastRoute: true, names: [] }),
});

export const detachRequest = z.strictObject({ target: targetText, cidrs: cidrList });
