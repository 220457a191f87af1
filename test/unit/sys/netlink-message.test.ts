/** Bytes of netlink messages: written as the kernel documents them, read whatever comes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DecodeError } from '../../../core/errors.js';
import {
  NetlinkWriter,
  NLM_F_ACK,
  NLM_F_REQUEST,
  parseAttributes,
  parseMessages,
  textOf,
} from '../../../sys/netlink-message.js';

test('a request to set interface 1 up: header, then struct ifinfomsg (rtnetlink(7))', () => {
  const writer = new NetlinkWriter(16, NLM_F_REQUEST | NLM_F_ACK);
  writer.u8(0, 0).u16(0).u32(1).u32(1).u32(1);
  const expected = '20000000100005000700000000000000' + '00000000010000000100000001000000';
  assert.equal(writer.finish(7).toString('hex'), expected);
});

test('attributes are padded, nested ones carry their length and flag', () => {
  const writer = new NetlinkWriter(1, 0).nest(18, (inner) => inner.attributeText(1, 'veth'));
  assert.equal(
    writer.finish(0).subarray(16).toString('hex'),
    '100012800900010076657468' + '00000000',
  );
});

test('what is written is read again', () => {
  const values = fc.array(fc.tuple(fc.nat(63), fc.uint8Array({ maxLength: 40 })), {
    maxLength: 20,
  });
  fc.assert(
    fc.property(values, (attributes) => {
      const writer = new NetlinkWriter(16, 5);
      for (const [type, value] of attributes) writer.attribute(type, value);
      const [message, ...more] = parseMessages(writer.finish(3));
      assert.deepEqual([more, message?.type, message?.flags, message?.sequence], [[], 16, 5, 3]);
      const read = parseAttributes(message?.body as Buffer);
      for (const [type, value] of new Map(attributes)) {
        assert.deepEqual(new Uint8Array(read.get(type) as Buffer), value);
      }
    }),
  );
  assert.equal(textOf(Buffer.from('name\0rest')), 'name');
});

test('random bytes give values or a DecodeError', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      for (const parse of [parseMessages, parseAttributes]) {
        try {
          parse(Buffer.from(bytes));
        } catch (error) {
          assert.ok(error instanceof DecodeError);
        }
      }
    }),
  );
});
