/**
 * An API server with the objects that the policy controller follows, in this process but listening
 * in a namespace: lists in pages, watches with bookmarks, versions that are too old (410), refusals
 * (403), absence and restart. Source: Kubernetes API concepts.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { resolveNetns, withNetns } from '../../sys/netns.js';

export interface StoredObject {
  readonly kind?: unknown;
  readonly metadata: { readonly name: string; readonly namespace?: string };
}

export type ApiKind = 'pods' | 'namespaces' | 'networkpolicies';

interface ApiEvent {
  readonly version: number;
  readonly kind: ApiKind;
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly object: unknown;
}

const PATHS: ReadonlyMap<string, ApiKind> = new Map([
  ['/api/v1/pods', 'pods'],
  ['/api/v1/namespaces', 'namespaces'],
  ['/apis/networking.k8s.io/v1/networkpolicies', 'networkpolicies'],
]);
const BOOKMARK_MS = 2000;

interface Watch {
  readonly kind: ApiKind;
  readonly response: ServerResponse;
}

export class PolicyApi {
  readonly #netns: string;
  readonly #objects = new Map<ApiKind, Map<string, StoredObject>>();
  readonly #watches = new Set<Watch>();
  #events: ApiEvent[] = [];
  #version = 1;
  /** Events up to this one are forgotten. */
  #compacted = 0;
  #server: Server | null = null;
  #port = 0;
  #bookmarks: NodeJS.Timeout | null = null;
  /** Answered with 403 while set. */
  forbidden: ApiKind | null = null;
  /** Requests of each form, e.g. `list pods`. */
  readonly requests: string[] = [];

  private constructor(netns: string) {
    this.#netns = netns;
    for (const kind of PATHS.values()) this.#objects.set(kind, new Map());
  }

  /** @param netns its name. */
  static start(netns: string): PolicyApi {
    const api = new PolicyApi(netns);
    api.up();
    return api;
  }

  /** As seen from the namespace. */
  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  get isUp(): boolean {
    return this.#server !== null;
  }

  /** Listens, the second time at the same port. */
  up(): void {
    if (this.#server !== null) return;
    const server = createServer((request, response) => this.#answer(request, response));
    // Without a host the socket is made at once, inside the namespace.
    withNetns(resolveNetns(this.#netns), () => server.listen(this.#port));
    const address = server.address();
    if (address !== null && typeof address === 'object') this.#port = address.port;
    this.#server = server;
    this.#bookmarks = setInterval(() => this.#sendBookmarks(), BOOKMARK_MS);
    this.#bookmarks.unref();
  }

  /** Nobody listens any more and all connections are cut. */
  down(): void {
    if (this.#bookmarks !== null) clearInterval(this.#bookmarks);
    this.#server?.close();
    this.#server?.closeAllConnections();
    this.#server = null;
    this.#watches.clear();
  }

  /** Adds or replaces. */
  put(kind: ApiKind, object: StoredObject): void {
    const objects = this.#of(kind);
    const key = keyOf(object);
    const type = objects.has(key) ? 'MODIFIED' : 'ADDED';
    const stored = this.#stamp(object);
    objects.set(key, stored);
    this.#publish({ version: this.#version, kind, type, object: stored });
  }

  remove(kind: ApiKind, object: StoredObject): void {
    const stored = this.#of(kind).get(keyOf(object));
    if (stored === undefined) return;
    this.#of(kind).delete(keyOf(object));
    this.#publish({
      version: this.#version + 1,
      kind,
      type: 'DELETED',
      object: this.#stamp(stored),
    });
  }

  list(kind: ApiKind): readonly StoredObject[] {
    return [...this.#of(kind).values()];
  }

  /** Watches from an older version than now get 410. */
  compact(): void {
    this.#compacted = this.#version;
    this.#events = [];
  }

  /** Cuts all watches without an error. */
  endWatches(): void {
    for (const { response } of this.#watches) response.end();
    this.#watches.clear();
  }

  #of(kind: ApiKind): Map<string, StoredObject> {
    return this.#objects.get(kind) as Map<string, StoredObject>;
  }

  #stamp(object: StoredObject): StoredObject {
    this.#version += 1;
    const metadata = { ...object.metadata, resourceVersion: `${this.#version}` };
    return { ...object, metadata } as StoredObject;
  }

  #publish(event: ApiEvent): void {
    this.#events.push(event);
    for (const watch of this.#watches) if (watch.kind === event.kind) send(watch.response, event);
  }

  #sendBookmarks(): void {
    const object = { metadata: { resourceVersion: `${this.#version}` } };
    for (const { response } of this.#watches) send(response, { type: 'BOOKMARK', object });
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://localhost');
    const kind = PATHS.get(pathname);
    if (kind === undefined) {
      fail(response, 404, 'not found');
      return;
    }
    const isWatch = searchParams.get('watch') === 'true';
    this.requests.push(`${isWatch ? 'watch' : 'list'} ${kind}`);
    if (this.forbidden === kind) fail(response, 403, `${kind} is forbidden`);
    else if (isWatch) this.#watch(kind, Number(searchParams.get('resourceVersion')), response);
    else this.#list(kind, searchParams, response);
  }

  #list(kind: ApiKind, query: URLSearchParams, response: ServerResponse): void {
    const limit = Number(query.get('limit') ?? '0') || Number.POSITIVE_INFINITY;
    const start = Number(query.get('continue') ?? '0');
    const all = this.list(kind);
    const items = all.slice(start, start + limit);
    const end = start + items.length;
    const more = end < all.length ? { continue: `${end}` } : {};
    response.setHeader('Content-Type', 'application/json');
    const metadata = { resourceVersion: `${this.#version}`, ...more };
    response.end(JSON.stringify({ kind: 'List', metadata, items }));
  }

  #watch(kind: ApiKind, from: number, response: ServerResponse): void {
    response.setHeader('Content-Type', 'application/json');
    response.flushHeaders();
    if (from < this.#compacted) {
      const object = { kind: 'Status', code: 410, message: 'too old resource version' };
      send(response, { type: 'ERROR', object });
      response.end();
      return;
    }
    for (const event of this.#events) {
      if (event.kind === kind && event.version > from) send(response, event);
    }
    const watch = { kind, response };
    this.#watches.add(watch);
    response.once('close', () => this.#watches.delete(watch));
  }
}

function send(
  response: ServerResponse,
  { type, object }: { readonly type: string; readonly object: unknown },
): void {
  response.write(`${JSON.stringify({ type, object })}\n`);
}

function fail(response: ServerResponse, code: number, message: string): void {
  response.statusCode = code;
  response.setHeader('Content-Type', 'application/json');
  response.end(JSON.stringify({ kind: 'Status', code, message }));
}

const keyOf = ({ metadata }: StoredObject): string =>
  `${metadata.namespace ?? ''}/${metadata.name}`;
