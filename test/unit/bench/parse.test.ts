/** Output of measuring tools and /proc, as recorded from iperf3 3.12, iputils 20221126, Linux 6. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  hasListener,
  parseBusySeconds,
  parseMetric,
  parsePingMean,
  parsePingTimes,
  parseProcessSeconds,
  parseResidentBytes,
  parseTcp,
} from '../../../bench/parse.js';

test('TCP: received rate without, and sent bytes with the omitted start', () => {
  const json = JSON.stringify({
    intervals: [
      { sum: { bytes: 1_070_858_240, omitted: true } },
      { sum: { bytes: 702_545_920, omitted: false } },
    ],
    end: {
      sum_sent: { bytes: 1_503_395_840, bits_per_second: 6_011_854_951.7, retransmits: 20 },
      sum_received: { bytes: 1_504_381_053, bits_per_second: 6_004_827_005.3 },
    },
  });
  const { megabits, totalBytes, retransmits } = parseTcp(json);
  assert.equal(Math.round(megabits), 6005);
  assert.equal(totalBytes, 1_070_858_240 + 702_545_920);
  assert.equal(retransmits, 20);
});

test('TCP: a failure is told in the words of iperf3', () => {
  const refused = '{"start":{},"intervals":[],"end":{},"error":"unable to connect to server"}';
  assert.throws(() => parseTcp(refused), /unable to connect to server/);
  assert.throws(() => parseTcp('{"end":{}}'), /no result/);
  assert.throws(() => parseTcp('iperf3: killed'), /no JSON: iperf3: killed/);
});

const FLOOD = `PING 10.77.0.2 (10.77.0.2) 56(84) bytes of data.

--- 10.77.0.2 ping statistics ---
500 packets transmitted, 500 received, 0% packet loss, time 17ms
rtt min/avg/max/mdev = 0.004/0.005/0.029/0.002 ms, ipg/ewma 0.034/0.004 ms
`;

test('ping: mean of a flood, single round trips', () => {
  assert.equal(parsePingMean(FLOOD), 0.005);
  assert.deepEqual(parsePingTimes(FLOOD), []);
  const adaptive = `64 bytes from 10.77.0.2: icmp_seq=1 ttl=64 time=0.050 ms
64 bytes from 10.77.0.2: icmp_seq=2 ttl=64 time=1.23 ms
5 packets transmitted, 5 received, 0% packet loss, time 0ms
rtt min/avg/max/mdev = 0.004/0.014/0.050/0.018 ms, ipg/ewma 0.037/0.031 ms`;
  assert.deepEqual(parsePingTimes(adaptive), [0.05, 1.23]);
  assert.throws(() => parsePingMean('5 packets transmitted, 0 received'), /no answers/);
});

test('/proc: busy time of the machine leaves out idle, iowait, steal and guests', () => {
  const stat = 'cpu  100 20 300 9999 8888 4 50 777 66 5\ncpu0 1 1 1 1 1 1 1 1 1 1\n';
  assert.equal(parseBusySeconds(stat), 4.74);
  assert.throws(() => parseBusySeconds('intr 5'), /no cpu line/);
});

test('/proc: a process with blanks and parentheses in its name', () => {
  const fields = ['S', '1', '1', '0', '-1', '0', '0', '0', '0', '0', '0', '250', '50', '0'];
  assert.equal(parseProcessSeconds(`42 (tricky) name) ${fields.join(' ')}`), 3);
  assert.equal(parseResidentBytes('Name:\tx\nVmRSS:\t   1024 kB\n'), 1_048_576);
  assert.equal(parseResidentBytes('Name:\tkthreadd\n'), 0);
});

test('/proc/net/tcp: only a listener on the very port counts', () => {
  const head = '  sl  local_address rem_address   st tx_queue\n';
  const listening = `${head}   0: 00000000:1451 00000000:0000 0A 00000000:00000000\n`;
  assert.equal(hasListener(listening, 5201), true);
  assert.equal(hasListener(listening, 5202), false);
  const connected = `${head}   0: 0100007F:1451 0100007F:9C40 01 00000000:00000000\n`;
  assert.equal(hasListener(connected, 5201), false);
  const v6 = `${head}   0: ${'0'.repeat(32)}:1451 ${'0'.repeat(32)}:0000 0A 00000000:00000000\n`;
  assert.equal(hasListener(v6, 5201), true);
});

test('metrics: one series of a page', () => {
  const page = `# HELP weave_event_loop_delay_seconds Delay
weave_event_loop_delay_seconds{quantile="0.5"} 0.0101
weave_event_loop_delay_seconds{quantile="0.99"} 0.0125
weave_peers 2
`;
  const name = 'weave_event_loop_delay_seconds';
  assert.equal(parseMetric(page, name, '{quantile="0.99"}'), 0.0125);
  assert.equal(parseMetric(page, 'weave_peers'), 2);
  assert.equal(parseMetric(page, 'weave'), null);
});
