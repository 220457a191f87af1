#!/usr/bin/env node
/**
 * Calls CNI plugins in turns inside the host's namespace and prints the milliseconds of each call.
 * It is a process of its own so that no call pays for entering the namespace.
 *
 *   stdin: DriverInput as JSON   stdout: Sample[] as JSON
 */
import { spawn } from 'node:child_process';

export interface Contender {
  readonly label: string;
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly config: Readonly<Record<string, unknown>>;
}

export interface DriverInput {
  readonly contenders: readonly Contender[];
  /** Names of the pods' namespaces. */
  readonly pods: readonly string[];
  readonly rounds: number;
}

export interface Sample {
  readonly contender: string;
  readonly command: 'ADD' | 'DEL';
  /** At once: all pods together. */
  readonly mode: 'alone' | 'at once';
  readonly ms: number;
}

/** @returns milliseconds from the start of the process until it has ended. */
function call(contender: Contender, command: string, pod: string): Promise<number> {
  const [program, ...args] = contender.argv as [string, ...string[]];
  const startedMs = performance.now();
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      env: {
        ...{ PATH: process.env['PATH'], CNI_PATH: '/usr/lib/cni', CNI_COMMAND: command },
        ...{ CNI_CONTAINERID: pod, CNI_NETNS: `/run/netns/${pod}`, CNI_IFNAME: 'eth0' },
        ...contender.env,
      },
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (chunk: string) => {
        output += chunk;
      });
    }
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0) resolve(performance.now() - startedMs);
      else reject(new Error(`${contender.label} ${command}: ${code} ${output}`));
    });
    child.stdin.on('error', () => {});
    child.stdin.end(JSON.stringify(contender.config));
  });
}

async function measure({ contenders, pods, rounds }: DriverInput): Promise<Sample[]> {
  const samples: Sample[] = [];
  const commands = ['ADD', 'DEL'] as const;
  for (let round = 0; round < rounds; round += 1) {
    // Contenders take turns at each pod, so that a slow second does not hit only one of them.
    for (const pod of pods) {
      for (const contender of contenders) {
        for (const command of commands) {
          const ms = await call(contender, command, pod);
          samples.push({ contender: contender.label, command, mode: 'alone', ms });
        }
      }
    }
    for (const contender of contenders) {
      for (const command of commands) {
        const all = await Promise.all(pods.map((pod) => call(contender, command, pod)));
        for (const ms of all) {
          samples.push({ contender: contender.label, command, mode: 'at once', ms });
        }
      }
    }
  }
  return samples;
}

let input = '';
for await (const chunk of process.stdin.setEncoding('utf8')) input += chunk;
process.stdout.write(JSON.stringify(await measure(JSON.parse(input) as DriverInput)));
