/** Which requests of the CNI plugin are taken. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { cniRequest } from '../../../router/api/cni-schema.js';

const request = (containerId: string): boolean =>
  cniRequest.safeParse({
    plugin: 'weave-net',
    command: 'DEL',
    containerId,
    netns: '',
    ifName: 'eth0',
    config: {},
  }).success;

describe('what the CNI plugin may send', () => {
  it('names containers as the specification does', () => {
    for (const id of ['', 'a', '0b71fe', 'pod-1.example_x']) assert.equal(request(id), true, id);
  });

  it('names nobody else who holds addresses', () => {
    for (const id of ['weave:expose', 'cni:a:eth0', '-a', '../x', 'a b', 'x'.repeat(129)]) {
      assert.equal(request(id), false, id);
    }
  });
});
