/** Docker's API on a Unix socket, as far as it is asked for, over containers that the test makes. */
import { createServer, type Server, type ServerResponse } from 'node:http';

export interface FakeContainer {
  readonly id: string;
  readonly name: string;
  /** Of its main process; 0 while it does not run. */
  pid: number;
  readonly hostname?: string;
  readonly domainname?: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** What other containers call it by `--link`, as the list of containers has it. */
  readonly links?: readonly string[];
}

export class FakeEngine {
  readonly containers: FakeContainer[] = [];
  /** Status of all answers; null: as it should be. */
  failure: number | null = null;
  readonly #server: Server;
  readonly #streams = new Set<ServerResponse>();

  private constructor() {
    this.#server = createServer((request, response) => this.#answer(request.url ?? '', response));
  }

  static async start(socketPath: string): Promise<FakeEngine> {
    const engine = new FakeEngine();
    await new Promise<void>((resolve) => engine.#server.listen(socketPath, () => resolve()));
    return engine;
  }

  /** The container's process has ended; who follows the events is told. */
  die(container: FakeContainer): void {
    container.pid = 0;
    this.#tell('die', container);
  }

  /** Events of this time are lost, as by a restart of the engine. */
  dropStreams(): void {
    for (const stream of this.#streams) stream.destroy();
    this.#streams.clear();
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #tell(action: string, { id }: FakeContainer): void {
    const event = { Type: 'container', Action: action, Actor: { ID: id } };
    for (const stream of this.#streams) stream.write(`${JSON.stringify(event)}\n`);
  }

  #answer(url: string, response: ServerResponse): void {
    if (this.failure !== null) {
      response.writeHead(this.failure).end('{"message":"as the test has it"}');
      return;
    }
    if (url.startsWith('/events')) {
      this.#streams.add(response);
      response.on('close', () => this.#streams.delete(response));
      response.flushHeaders();
      return;
    }
    if (url.startsWith('/containers/json')) {
      const running = this.containers.filter(({ pid }) => pid > 0);
      const listed = running.map(({ id, name, links = [] }) => ({
        ...{ Id: id, Names: [...links, `/${name}`], State: 'running' },
      }));
      response.end(JSON.stringify(listed));
      return;
    }
    const asked = /^\/containers\/([^/]+)\/json/.exec(url)?.[1] ?? '';
    const found = this.containers.find(({ id, name }) => name === asked || id.startsWith(asked));
    if (asked === '' || found === undefined) {
      response.writeHead(404).end('{"message":"No such container"}');
      return;
    }
    const { id, name, pid, hostname = id.slice(0, 12), domainname = '', labels = {} } = found;
    response.end(
      JSON.stringify({
        Id: id,
        Name: `/${name}`,
        State: { Running: pid > 0, Pid: pid },
        Config: { Hostname: hostname, Domainname: domainname, Labels: labels },
      }),
    );
  }
}
