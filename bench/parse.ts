/** Reads what the measuring tools and the kernel print. Sources: iperf3(1), ping(8), proc(5). */

/** Bytes and time of one iperf3 run, seen by the client unless stated otherwise. */
export interface TcpResult {
  /** Received by the server after the omitted start. */
  readonly megabits: number;
  /** Sent in all, the omitted start included: what the processor time was spent on. */
  readonly totalBytes: number;
  readonly retransmits: number;
}

interface IperfOutput {
  readonly error?: string;
  readonly intervals?: readonly { readonly sum: { readonly bytes: number } }[];
  readonly end?: {
    readonly sum_sent?: { readonly retransmits?: number };
    readonly sum_received?: { readonly bits_per_second: number };
  };
}

/** @param json of `iperf3 -J -c`. @throws Error with iperf3's own words if it failed. */
export function parseTcp(json: string): TcpResult {
  let output: IperfOutput;
  try {
    output = JSON.parse(json) as IperfOutput;
  } catch {
    throw new Error(`iperf3 printed no JSON: ${json.slice(0, 200)}`);
  }
  const received = output.end?.sum_received;
  if (output.error !== undefined || received === undefined) {
    throw new Error(`iperf3: ${output.error ?? 'no result'}`);
  }
  const totalBytes = (output.intervals ?? []).reduce((sum, { sum: { bytes } }) => sum + bytes, 0);
  return {
    megabits: received.bits_per_second / 1e6,
    totalBytes,
    retransmits: output.end?.sum_sent?.retransmits ?? 0,
  };
}

/** Mean round trip in milliseconds of `ping -q`. @throws Error if nothing came back. */
export function parsePingMean(output: string): number {
  const match = /^rtt min\/avg\/max\/mdev = [\d.]+\/([\d.]+)\//m.exec(output);
  if (match === null) throw new Error(`ping: no answers: ${output.slice(-200)}`);
  return Number(match[1]);
}

/** Round trips in milliseconds, one for each answer that ping printed. */
export function parsePingTimes(output: string): number[] {
  return [...output.matchAll(/\btime=([\d.]+) ms/g)].map((match) => Number(match[1]));
}

/** USER_HZ, 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

/** Seconds that all processors were busy since boot. @param stat content of /proc/stat. */
export function parseBusySeconds(stat: string): number {
  const fields = /^cpu +(.*)$/m.exec(stat)?.[1]?.split(/\s+/).map(Number);
  if (fields === undefined) throw new Error('/proc/stat has no cpu line');
  // user nice system idle iowait irq softirq; steal is another guest's and the rest is in user.
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = fields;
  return (user + nice + system + irq + softirq) / TICKS_PER_SECOND;
}

/** User and system seconds. @param stat content of /proc/PID/stat. */
export function parseProcessSeconds(stat: string): number {
  // Counted behind the name, which may hold blanks and parentheses.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Resident set in bytes. @param status content of /proc/PID/status. */
export function parseResidentBytes(status: string): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024;
}

/** Value of one series of a Prometheus page, or null. @param labels as printed, with braces. */
export function parseMetric(page: string, name: string, labels = ''): number | null {
  const prefix = `${name}${labels} `;
  const line = page.split('\n').find((candidate) => candidate.startsWith(prefix));
  return line === undefined ? null : Number(line.slice(prefix.length).split(' ')[0]);
}

/** Whether a TCP socket listens on the port. @param table content of /proc/PID/net/tcp6 or tcp. */
export function hasListener(table: string, port: number): boolean {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  return new RegExp(`^\\s*\\d+: [0-9A-F]+:${hex} [0-9A-F]+:0000 0A `, 'm').test(table);
}
