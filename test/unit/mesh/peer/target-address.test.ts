/** Addresses as users and routers write them. */
import assert from 'node:assert/strict';
import { isIPv6 } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { RequestError } from '../../../../core/errors.js';
import {
  formatIpPort,
  parseIpPort,
  parseTargetAddress,
} from '../../../../mesh/peer/target-address.js';

test('targets: host, host:port, service names, bracketed IPv6', () => {
  const cases: readonly (readonly [string, string, string | null])[] = [
    ['host1', 'host1', null],
    ['host1.example.com:6783', 'host1.example.com', '6783'],
    ['10.1.2.3', '10.1.2.3', null],
    ['10.1.2.3:7000', '10.1.2.3', '7000'],
    ['10.1.2.3:0', '10.1.2.3', null],
    ['host1:http', 'host1', 'http'],
    ['[fe80::1]', 'fe80::1', null],
    ['[2001:db8::1]:6783', '2001:db8::1', '6783'],
  ];
  for (const [text, host, port] of cases) {
    assert.deepEqual(parseTargetAddress(text), { text, host, port });
  }
});

test('what is no target says what one looks like', () => {
  for (const text of [
    '',
    ':6783',
    'host:',
    'host:67:83',
    'fe80::1',
    '[]:1',
    'host:70000',
    'a:-1',
  ]) {
    assert.throws(
      () => parseTargetAddress(text),
      (error) =>
        error instanceof RequestError &&
        error.message === `invalid peer name "${text}", should be host[:port]`,
      text,
    );
  }
});

test('addresses of peers: IP and port, nothing else', () => {
  assert.deepEqual(parseIpPort('192.0.2.1:6783'), { ip: '192.0.2.1', port: 6783 });
  assert.deepEqual(parseIpPort('[2001:db8::1]:1'), { ip: '2001:db8::1', port: 1 });
  assert.deepEqual(parseIpPort('[fe80::1%eth0]:65535'), { ip: 'fe80::1%eth0', port: 65535 });
  const wrong = ['', 'host:1', '192.0.2.1', '192.0.2.256:1', '192.0.2.1:0', '192.0.2.1:65536'];
  for (const text of [...wrong, '[192.0.2.1]:1', '::1:1', '1.2.3.4.5:1', '1.2.3:1', '1.2.3.4 :1']) {
    assert.equal(parseIpPort(text), null, text);
  }
});

test('what is formatted parses to the same', () => {
  const ip = fc.oneof(fc.ipV4(), fc.ipV6());
  fc.assert(
    fc.property(ip, fc.integer({ min: 1, max: 65535 }), (address, port) => {
      const text = formatIpPort(address, port);
      assert.deepEqual(parseIpPort(text), { ip: address, port });
      assert.equal(parseTargetAddress(text).host, address);
    }),
  );
});

test('what passes for an IPv6 address is one, so that sockets look nothing up', () => {
  const part = fc.constantFrom(
    '0',
    'ffff',
    '12345',
    'g',
    '',
    ':',
    '::',
    '1.2.3.4',
    '1.2.3',
    '%eth0',
  );
  const text = fc.array(part, { minLength: 1, maxLength: 10 });
  fc.assert(
    fc.property(text, fc.constantFrom('', ':'), (parts, separator) => {
      const address = parts.join(separator);
      if (address.length < 2 || address.length > 60) return;
      const accepted = parseIpPort(`[${address}]:1`) !== null;
      // Of zones only the names of interfaces pass.
      if (accepted || !address.includes('%')) assert.equal(accepted, isIPv6(address), address);
    }),
    { numRuns: 3000 },
  );
});
