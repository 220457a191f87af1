/** The `nft` program: transactions from standard input, tables as JSON. Source: nft(8). */
import { type ChildProcess, execFile } from 'node:child_process';
import { WeaveError } from '../../../../core/errors.js';

/** Another program may hold the kernel's lock for a while; no healthy run takes this long. */
const TIMEOUT_MS = 20_000;
/** Tables of ten thousand policies and pods are below it. */
const MAX_OUTPUT_BYTES = 256 * 1024 * 1024;
const SEARCH_PATH = '/usr/sbin:/sbin:/usr/bin:/bin';

export class Nft {
  /** The children that ran last, by their process id, which is their netlink port too. BOUNDED. */
  readonly #recent = new Set<number>();

  /** An event that carries this netlink port is the work of a run of ours. */
  isOurs(port: number): boolean {
    return this.#recent.has(port);
  }

  /** All of the script or nothing of it. @throws {WeaveError} `nft-failed`, `nft-missing`, … */
  async apply(script: string): Promise<void> {
    await this.#run(['-f', '-'], script);
  }

  /** @returns the parsed listing; null if the table does not exist. @throws {WeaveError} */
  async list(family: string, table: string): Promise<unknown> {
    try {
      return JSON.parse(await this.#run(['-j', 'list', 'table', family, table], '')) as unknown;
    } catch (error) {
      if (error instanceof WeaveError && /No such file or directory/.test(error.message)) {
        return null;
      }
      throw error;
    }
  }

  #run(args: readonly string[], input: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const child = execFile(
        'nft',
        [...args],
        {
          env: { PATH: `${process.env['PATH'] ?? ''}:${SEARCH_PATH}`, LC_ALL: 'C' },
          timeout: TIMEOUT_MS,
          killSignal: 'SIGKILL',
          maxBuffer: MAX_OUTPUT_BYTES,
        },
        (error, stdout, stderr) => {
          if (error === null) resolve(stdout);
          else reject(failure(error, child, stderr));
        },
      );
      if (child.pid !== undefined) this.#remember(child.pid);
      // A tool that fails early closes its input; its message matters, not the broken pipe.
      child.stdin?.on('error', () => {});
      child.stdin?.end(input);
    });
  }

  /** Events of a run come before or shortly after its end, so a few ids are enough. */
  #remember(pid: number): void {
    this.#recent.delete(pid);
    this.#recent.add(pid);
    if (this.#recent.size > 16) {
      const [oldest] = this.#recent;
      if (oldest !== undefined) this.#recent.delete(oldest);
    }
  }
}

function failure(error: Error, child: ChildProcess, stderr: string): WeaveError {
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
    return new WeaveError(
      'nft-missing',
      'the program "nft" was not found; install the package nftables',
    );
  }
  if (child.signalCode === 'SIGKILL') {
    return new WeaveError('nft-timeout', `nft did not end in ${TIMEOUT_MS} ms`);
  }
  // The tool repeats the script line with markers below; the first line says what is wrong.
  const reason = stderr.split('\n')[0] ?? '';
  return new WeaveError('nft-failed', `nft: ${reason === '' ? error.message : reason}`);
}
