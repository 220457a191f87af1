/** Checks the JSON bodies of requests; the messages reach the user. Shapes: ../api-types.ts. */
import { z } from 'zod';

/** Most addresses one attach or detach may name. */
const MAX_ADDRESSES_PER_REQUEST = 64;

const EXPECTED = 'expected an address with prefix, 10.2.1.5/24, or net:default or net:10.2.1.0/24';
const CIDR = String.raw`\d{1,3}(?:\.\d{1,3}){3}/\d{1,2}`;
const addressText = z
  .string(EXPECTED)
  .regex(new RegExp(`^(?:net:default|(?:net:|ip:)?${CIDR})$`), EXPECTED);
const targetText = z
  .string('expected a netns name, a path, a pid or a container id')
  .min(1, 'expected a netns name, a path, a pid or a container id')
  .max(4096, 'expected at most 4096 characters');
const addressList = z
  .array(addressText, 'expected a list of addresses')
  .max(MAX_ADDRESSES_PER_REQUEST, `expected at most ${MAX_ADDRESSES_PER_REQUEST} addresses`);

/** Checked as a name where it is used; this only keeps it small. */
const nameText = z.string().min(1, 'expected a name').max(254, 'expected at most 254 characters');
/** Most names one attach may give. */
const MAX_NAMES_PER_REQUEST = 64;

export const attachRequest = z.strictObject({
  target: targetText,
  addresses: addressList,
  options: z
    .strictObject({
      multicastRoute: z.boolean().default(true),
      names: z.array(nameText, 'expected a list of names').max(MAX_NAMES_PER_REQUEST).default([]),
    })
    .default({ multicastRoute: true, names: [] }),
});

export const detachRequest = z.strictObject({ target: targetText, addresses: addressList });

export const exposeRequest = z.strictObject({
  addresses: addressList,
  masquerade: z.boolean().default(true),
});

export const hideRequest = z.strictObject({ addresses: addressList });
