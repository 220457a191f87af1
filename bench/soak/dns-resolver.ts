#!/usr/bin/env node
/**
 * A resolver that nobody would want, on UDP and TCP; `dns.ts` starts it. It answers with what was
 * asked for, with that in pieces, with a query, with the mutator's bytes, cut, twice, or not at all.
 *
 *   node dist/bench/soak/dns-resolver.js ADDRESS
 */
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import { Mutator } from '../../test/fuzz/mutator.js';
import { SeededNumbers } from '../../test/support/garbage.js';

const DNS_PORT = 53;
/** One question in so many gets no answer: all waiting ones of one client are soon too many. */
const SILENCE = 512;
const QR = 0x80;
const TC = 0x02;

const address = process.argv[2];
const numbers = new SeededNumbers(7);

/** The bytes of the query as an answer without records. */
function plainAnswer(query: Buffer): Buffer {
  const answer = Buffer.from(query);
  if (answer.length > 2) answer[2] = (answer[2] as number) | QR;
  return answer;
}

/** @returns what goes back, in this order. */
function answersTo(query: Buffer): readonly Uint8Array[] {
  if (numbers.below(SILENCE) === 0) return [];
  const answer = plainAnswer(query);
  switch (numbers.below(8)) {
    case 0:
      return [query, answer];
    case 1:
      return [new Mutator([answer]).make(numbers.uint32()).slice(), answer];
    case 2:
      answer[2] = (answer[2] ?? 0) | TC;
      return [answer];
    case 3:
      return [answer, answer];
    case 4:
      // An answer of its length, id and question with anything behind: the client's to judge.
      return [Buffer.concat([answer, Buffer.alloc(numbers.below(2000), numbers.uint32())])];
    case 5:
      if (answer.length > 3) answer[3] = numbers.below(256);
      return [answer];
    case 6:
      return [Buffer.alloc(0), answer.subarray(0, numbers.below(answer.length + 1)), answer];
    default:
      return [answer];
  }
}

const udp = createSocket('udp4');
udp.on('error', () => {});
udp.on('message', (query, { address: client, port }) => {
  for (const answer of answersTo(query)) udp.send(answer, port, client, () => {});
});
udp.bind(DNS_PORT, address);

const tcp = createServer((socket) => {
  socket.on('error', () => {});
  socket.once('data', (query: Buffer) => {
    for (const answer of answersTo(query.subarray(2))) {
      const length = Buffer.alloc(2);
      length.writeUInt16BE(numbers.below(8) === 0 ? numbers.below(0x10000) : answer.length);
      socket.write(Buffer.concat([length, answer]));
    }
    socket.end();
  });
});
tcp.listen(DNS_PORT, address);
