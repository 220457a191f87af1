/**
 * Entry of the name server's thread. Beside a data plane that fills the processors and a control
 * thread that computes routes, a query waits for neither. It keeps a copy of the name table, fed
 * with the changes of the router's.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { systemClock } from '../../core/clock.js';
import { errorCode, errorText } from '../../core/errors.js';
import type { Cidr } from '../../core/ip.js';
import { relayLogger } from '../../core/log.js';
import { systemRandom } from '../../sys/random.js';
import { askShortTurns, preferThisThread } from '../../sys/scheduling.js';
import { NameTable } from '../name-table.js';
import type { DnsThreadStart, FromDnsThread, ToDnsThread } from './dns-messages.js';
import { DnsServer } from './dns-server.js';

/** Before the data plane, since somebody waits for each answer; behind the control thread. */
const DNS_NICE = -12;
/** The shortest turn that kernels grant: an answer takes some microseconds. */
const TURN_NANOSECONDS = 100_000;
/** How old what the router knows of us may be. */
const STATUS_INTERVAL_MS = 250;
/** An unchanged status is told each time so many intervals have passed, as a sign of life. */
const SIGN_OF_LIFE_INTERVALS = 8;

const port = parentPort;
if (port === null) throw new Error('not a thread');
const start = workerData as DnsThreadStart;
const tell = (message: FromDnsThread): void => port.postMessage(message);
const log = relayLogger((level, text, fields) => tell({ type: 'log', level, text, fields }));

let networks: readonly Cidr[] = start.networks;
const table = new NameTable();
const server = new DnsServer(start.options, {
  table,
  overlayNetworks: () => networks,
  clock: systemClock,
  random: systemRandom,
  log,
});

let told = '';
let untold = 0;
function tellStatus(): void {
  const status = server.status();
  const text = JSON.stringify(status);
  untold += 1;
  if (text === told && untold < SIGN_OF_LIFE_INTERVALS) return;
  told = text;
  untold = 0;
  tell({ type: 'status', status });
}

async function refresh(id: number): Promise<void> {
  try {
    await server.refresh();
  } finally {
    tell({ type: 'status', status: server.status() });
    tell({ type: 'refreshed', id });
  }
}

async function close(): Promise<void> {
  clearInterval(timer);
  await server.close();
  tell({ type: 'status', status: server.status() });
  port?.close();
}

function handle(message: ToDnsThread): void {
  switch (message.type) {
    case 'table':
      for (const change of message.changes) table.apply(change);
      return;
    case 'refresh':
      networks = message.networks;
      void refresh(message.id);
      return;
    case 'close':
      void close();
  }
}

const code = preferThisThread(DNS_NICE);
if (code !== null) log.debug('the name server keeps its priority', { code });
askShortTurns(TURN_NANOSECONDS);
let timer: NodeJS.Timeout | undefined;
port.on('message', handle);
try {
  await server.start();
  tell({ type: 'started', status: server.status() });
  timer = setInterval(tellStatus, STATUS_INTERVAL_MS);
} catch (error) {
  tell({ type: 'start-failed', code: errorCode(error), text: errorText(error) });
  port.close();
}
