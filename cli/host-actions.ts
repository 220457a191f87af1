/** What verbs do to this host without the router: start it, watch it, clean up after it. */

export interface LaunchRequest {
  /** For the daemon, without secrets. */
  readonly options: readonly string[];
  readonly password: string | null;
  readonly logFile: string;
}

export interface Launched {
  /** null when the service manager runs it. */
  readonly pid: number | null;
  /** Ended already; `log` holds its last lines. */
  exited(): { readonly log: string } | null;
}

export interface HostActions {
  readonly isRoot: boolean;
  /** Of the installed program. */
  readonly version: string;
  /** Runs the daemon's own check. */
  checkOptions(request: LaunchRequest): { readonly exitCode: number; readonly stderr: string };
  /** @throws {CommandFailure} if nothing could be started. */
  launch(request: LaunchRequest): Launched;
  isAlive(pid: number): boolean;
  /** The process is a router of ours or of root, whatever answered the API may have claimed. */
  isRouter(pid: number): boolean;
  /** Ends it without asking. */
  kill(pid: number): void;
  /** Removes bridge, interfaces, rules and database of a router that does not run. */
  cleanUp(): readonly string[];
  /**
   * Asks a DNS server. @param server `ADDRESS:PORT` @returns addresses; none for an unknown name.
   * @throws {CommandFailure} if the server does not answer.
   */
  lookUp(name: string, server: string): Promise<readonly string[]>;
  sleep(ms: number): Promise<void>;
  /** Does the work later, unless the returned function is called before. */
  after(ms: number, work: () => void): () => void;
  nowMs(): number;
}
