/** The writer grows in the middle of every kind of field. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteReader, ByteWriter } from '../../../core/bytes.js';

for (const initialBytes of [1, 2, 3, 5, 7, 256]) {
  test(`fields survive growth from ${initialBytes} bytes`, () => {
    const writer = new ByteWriter(initialBytes);
    writer
      .u8(1)
      .u16be(2)
      .u32be(3)
      .u48be(0x820000000001)
      .u64be(4n)
      .bytes(Uint8Array.of(5, 6, 7));
    const reader = new ByteReader(writer.finish());
    assert.deepEqual(
      [reader.u8(), reader.u16be(), reader.u32be(), reader.u48be(), reader.u64be()],
      [1, 2, 3, 0x820000000001, 4n],
    );
    assert.deepEqual(reader.rest(), Uint8Array.of(5, 6, 7));
  });
}
