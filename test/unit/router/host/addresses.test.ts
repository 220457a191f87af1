/** Addresses from users, and names of interfaces. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatCidr, parseCidr } from '../../../../core/ip.js';
import { networkTexts, parseHostCidr } from '../../../../router/host/addresses.js';
import {
  checkInterfaceName,
  MAX_INTERFACE_NAME,
  workloadPortName,
} from '../../../../router/host/names.js';

test('usable addresses come out as they went in', () => {
  for (const text of [
    '10.2.1.5/24',
    '10.2.1.0/31',
    '10.2.1.255/32',
    '10.32.0.1/12',
    '100.64.0.1/1',
  ]) {
    assert.equal(formatCidr(parseHostCidr(text)), text);
  }
});

test('any text gives an address or a refusal of the user', () => {
  const octet = fc.nat(300);
  const almost = fc
    .tuple(octet, octet, octet, octet, fc.nat(40))
    .map(([a, b, c, d, n]) => `${a}.${b}.${c}.${d}/${n}`);
  fc.assert(
    fc.property(fc.oneof(fc.string(), almost), (text) => {
      try {
        const cidr = parseHostCidr(text);
        assert.ok(cidr.prefixLength >= 1 && cidr.prefixLength <= 32);
      } catch (error) {
        const { code } = error as { code: string };
        assert.ok(['cidr-invalid', 'address-unusable'].includes(code), code);
      }
    }),
  );
});

test('networks are listed once, in order', () => {
  const cidrs = ['10.3.1.1/24', '10.2.1.1/24', '10.3.1.9/24', '10.3.1.9/16'].map(parseCidr);
  assert.deepEqual(networkTexts(cidrs), ['10.3.1.0/24', '10.2.1.0/24', '10.3.0.0/16']);
});

test('every namespace has a port name of its own that the kernel takes', () => {
  const inode = fc.integer({ min: 1, max: 0xffff_ffff });
  fc.assert(
    fc.property(inode, inode, (a, b) => {
      const name = workloadPortName(a);
      checkInterfaceName('port', name);
      assert.equal(name.length, MAX_INTERFACE_NAME);
      assert.equal(name === workloadPortName(b), a === b);
      assert.notEqual(workloadPortName(a, 'eth0'), name);
    }),
  );
  // Numbers of more than 36 bits would not fit as digits.
  checkInterfaceName('port', workloadPortName(2 ** 52));
});
