/** Shape of what the CNI plugin sends. */
import { z } from 'zod';

const MAX_PATH_CHARS = 4096;
/** The longest names that fit into an interface's alias together. */
const MAX_ID_CHARS = 128;
const MAX_INTERFACE_CHARS = 15;

export const cniRequest = z.strictObject({
  plugin: z.enum(['weave-net', 'weave-ipam']),
  command: z.enum(['ADD', 'DEL', 'CHECK', 'STATUS', 'GC']),
  // The characters of the specification: other parts of the router own addresses under names with
  // a colon, which no request for a container may reach.
  containerId: z
    .string()
    .max(MAX_ID_CHARS)
    .regex(/^([A-Za-z0-9][A-Za-z0-9_.-]*)?$/, 'expected letters, digits, "_", "." and "-"'),
  netns: z
    .string()
    .max(MAX_PATH_CHARS)
    .regex(/^(\/[^\0]*)?$/, 'expected a path'),
  ifName: z
    .string()
    .max(MAX_INTERFACE_CHARS)
    .regex(/^([A-Za-z_][A-Za-z0-9_.-]*)?$/, 'expected the name of an interface'),
  config: z.record(z.string(), z.unknown()),
  ipamResult: z.unknown().optional(),
});
