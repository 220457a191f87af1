/**
 * An API server with the objects that we follow, in this process but listening in a namespace:
 * lists in pages, watches with bookmarks, versions that are too old (410), writes that hold for one
 * version (409), refusals (403), silence, absence and restart. Source: Kubernetes API concepts.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { resolveNetns, withNetns } from '../../sys/netns.js';

export interface StoredObject {
  readonly kind?: unknown;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly resourceVersion?: string;
  };
}

/** What policies are made of. */
export type PolicyKind = 'pods' | 'namespaces' | 'networkpolicies';
export type ApiKind = PolicyKind | 'clusternetworkpolicies' | 'nodes' | 'configmaps';

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
  ['/apis/policy.networking.k8s.io/v1alpha2/clusternetworkpolicies', 'clusternetworkpolicies'],
  ['/api/v1/nodes', 'nodes'],
  ['/api/v1/namespaces/kube-system/configmaps', 'configmaps'],
]);
const BOOKMARK_MS = 2000;

interface Watch {
  readonly kind: ApiKind;
  readonly response: ServerResponse;
}

export interface KubernetesApiOptions {
  /** Name of the namespace; absent: this one. */
  readonly netns?: string;
  /** PEM; absent: without TLS. */
  readonly tls?: { readonly key: string; readonly cert: string };
  readonly port?: number;
}

/** A write as it came. */
export interface SeenPatch {
  readonly path: string;
  readonly type: string | undefined;
  readonly authorization: string | undefined;
  readonly body: string;
}

export class KubernetesApi {
  readonly #options: KubernetesApiOptions;
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
  /** Answered with 404 while set: a custom resource that is not installed. */
  absent: ApiKind | null = null;
  /** So many patches are answered with 403. */
  patchRefusals = 0;
  readonly patches: SeenPatch[] = [];
  /** Takes requests and answers none. */
  isSilent = false;
  /** Called before each write, e.g. for another one in between. */
  beforeWrite: () => void = () => {};
  /** Requests of each form, e.g. `list pods`. */
  readonly requests: string[] = [];

  private constructor(options: KubernetesApiOptions) {
    this.#options = options;
    this.#port = options.port ?? 0;
    for (const kind of PATHS.values()) this.#objects.set(kind, new Map());
  }

  static start(options: KubernetesApiOptions = {}): KubernetesApi {
    const api = new KubernetesApi(options);
    api.up();
    return api;
  }

  /** As seen from the namespace. */
  get url(): string {
    return `${this.#options.tls === undefined ? 'http' : 'https'}://127.0.0.1:${this.#port}`;
  }

  get isUp(): boolean {
    return this.#server !== null;
  }

  /** Listens, the second time at the same port. */
  up(): void {
    if (this.#server !== null) return;
    const answer = (request: IncomingMessage, response: ServerResponse): void => {
      let body = '';
      request.setEncoding('utf8').on('data', (chunk: string) => {
        body += chunk;
      });
      request.on('end', () => this.#answer(request, body, response));
    };
    const { netns, tls } = this.#options;
    const server = tls === undefined ? createServer(answer) : createTlsServer(tls, answer);
    // Without a host the socket is made at once, inside the namespace.
    const listen = (): unknown => server.listen(this.#port);
    if (netns === undefined) listen();
    else withNetns(resolveNetns(netns), listen);
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
  put(kind: ApiKind, object: StoredObject): StoredObject {
    const objects = this.#of(kind);
    const key = keyOf(object);
    const type = objects.has(key) ? 'MODIFIED' : 'ADDED';
    const stored = this.#stamp(object);
    objects.set(key, stored);
    this.#publish({ version: this.#version, kind, type, object: stored });
    return stored;
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

  #answer(request: IncomingMessage, body: string, response: ServerResponse): void {
    if (this.isSilent) return;
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://localhost');
    const kind = PATHS.get(pathname);
    if (request.method === 'PATCH') {
      this.#patch(request, body, response);
      return;
    }
    if (kind === undefined || request.method === 'POST') {
      this.#answerOne(request.method ?? 'GET', pathname, body, response);
      return;
    }
    const isWatch = searchParams.get('watch') === 'true';
    this.requests.push(`${isWatch ? 'watch' : 'list'} ${kind}`);
    if (this.forbidden === kind) fail(response, 403, `${kind} is forbidden`);
    else if (this.absent === kind) fail(response, 404, 'page not found');
    else if (isWatch) this.#watch(kind, Number(searchParams.get('resourceVersion')), response);
    else this.#list(kind, searchParams, response);
  }

  #patch(request: IncomingMessage, body: string, response: ServerResponse): void {
    this.requests.push('patch');
    this.patchRefusals -= 1;
    if (this.patchRefusals >= 0) {
      fail(response, 403, 'forbidden');
      return;
    }
    const { authorization, 'content-type': type } = request.headers;
    this.patches.push({ path: request.url ?? '', type, authorization, body });
    reply(response, {});
  }

  /** One object: GET, PUT and POST. */
  #answerOne(method: string, path: string, body: string, response: ServerResponse): void {
    const isCreate = method === 'POST';
    const at = path.lastIndexOf('/');
    const kind = PATHS.get(isCreate ? path : path.slice(0, at));
    if (kind === undefined) {
      fail(response, 404, 'not found');
      return;
    }
    this.requests.push(`${method.toLowerCase()} ${kind}`);
    if (this.forbidden === kind) {
      fail(response, 403, `${kind} is forbidden`);
      return;
    }
    if (method !== 'GET') this.beforeWrite();
    const sent = isCreate || method === 'PUT' ? (JSON.parse(body) as StoredObject) : null;
    const name = sent?.metadata.name ?? decodeURIComponent(path.slice(at + 1));
    const stored = this.list(kind).find(({ metadata }) => metadata.name === name);
    if (sent === null) {
      if (stored === undefined) fail(response, 404, `${name} not found`);
      else reply(response, stored);
    } else if (isCreate && stored !== undefined) fail(response, 409, `${name} already exists`);
    else if (!isCreate && stored === undefined) fail(response, 404, `${name} not found`);
    else if (
      stored !== undefined &&
      stored.metadata.resourceVersion !== sent.metadata.resourceVersion
    ) {
      fail(response, 409, 'the object has been modified');
    } else reply(response, this.put(kind, sent));
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

function reply(response: ServerResponse, value: unknown): void {
  response.setHeader('Content-Type', 'application/json');
  response.end(JSON.stringify(value));
}

function fail(response: ServerResponse, code: number, message: string): void {
  response.statusCode = code;
  response.setHeader('Content-Type', 'application/json');
  response.end(JSON.stringify({ kind: 'Status', code, message }));
}

const keyOf = ({ metadata }: StoredObject): string =>
  `${metadata.namespace ?? ''}/${metadata.name}`;
