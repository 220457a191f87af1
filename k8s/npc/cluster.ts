/**
 * The full state of the cluster as far as policies need it. The caller tells each object's newest
 * form; repeated events change nothing, and a deletion of an earlier pod (other uid) that comes
 * after its successor is ignored. BOUNDED by what the API server holds.
 */
import type { ClusterPolicy } from './cluster-policy.js';
import { keyOf, type Namespace, type Pod, type Policy } from './objects.js';

export interface Objects {
  readonly pods: Pod;
  readonly namespaces: Namespace;
  readonly policies: Policy;
  readonly clusterPolicies: ClusterPolicy;
}

export type Kind = keyof Objects;

interface Named {
  readonly namespace?: string;
  readonly name: string;
  readonly uid: string;
}

const key = ({ namespace = '', name }: Named): string => keyOf({ namespace, name });

/** What one namespace holds. */
export interface Content {
  readonly pods: ReadonlyMap<string, Pod>;
  readonly policies: ReadonlyMap<string, Policy>;
  /** Another number after every change of either. */
  readonly revision: number;
}

export class Cluster {
  readonly #objects: { readonly [K in Kind]: Map<string, Objects[K]> } = {
    pods: new Map(),
    namespaces: new Map(),
    policies: new Map(),
    clusterPolicies: new Map(),
  };
  readonly #contents = new Map<
    string,
    { pods: Map<string, Pod>; policies: Map<string, Policy>; revision: number }
  >();
  #namespacesRevision = 0;
  #lastRevision = 0;

  get pods(): ReadonlyMap<string, Pod> {
    return this.#objects.pods;
  }

  /** By `/name`. */
  get namespaces(): ReadonlyMap<string, Namespace> {
    return this.#objects.namespaces;
  }

  get policies(): ReadonlyMap<string, Policy> {
    return this.#objects.policies;
  }

  /** By `/name`. */
  get clusterPolicies(): ReadonlyMap<string, ClusterPolicy> {
    return this.#objects.clusterPolicies;
  }

  /** By the name of a namespace, also of one whose own object is not known. */
  get contents(): ReadonlyMap<string, Content> {
    return this.#contents;
  }

  /** Another number after every change of a namespace's own object. */
  get namespacesRevision(): number {
    return this.#namespacesRevision;
  }

  /** After a list: what is not in `objects` is gone. */
  replaceAll<K extends Kind>(kind: K, objects: Iterable<Objects[K]>): void {
    const all: Map<string, Objects[K]> = this.#objects[kind];
    for (const object of [...all.values()]) this.#remove(kind, object);
    for (const object of objects) this.set(kind, object);
  }

  set<K extends Kind>(kind: K, object: Objects[K]): void {
    const all: Map<string, Objects[K]> = this.#objects[kind];
    all.set(key(object), object);
    this.#contentFor(kind, object)?.set(key(object), object);
  }

  /** @returns whether there was one; false for a uid that has been followed by another. */
  delete(kind: Kind, object: Named): boolean {
    const all: Map<string, Named> = this.#objects[kind];
    const known = all.get(key(object));
    if (known === undefined) return false;
    if (object.uid !== '' && known.uid !== '' && object.uid !== known.uid) return false;
    this.#remove(kind, known);
    return true;
  }

  #remove(kind: Kind, object: Named): void {
    this.#objects[kind].delete(key(object));
    this.#contentFor(kind, object)?.delete(key(object));
    const { namespace = '' } = object;
    const content = this.#contents.get(namespace);
    if (content?.pods.size === 0 && content.policies.size === 0) this.#contents.delete(namespace);
  }

  /** What is about to change, if it is in a namespace; counts the change. */
  #contentFor(kind: Kind, { namespace = '' }: Named): Map<string, Named> | null {
    if (kind === 'clusterPolicies') return null;
    this.#lastRevision += 1;
    if (kind === 'namespaces') {
      this.#namespacesRevision = this.#lastRevision;
      return null;
    }
    let content = this.#contents.get(namespace);
    if (content === undefined) {
      content = { pods: new Map(), policies: new Map(), revision: 0 };
      this.#contents.set(namespace, content);
    }
    content.revision = this.#lastRevision;
    return content[kind] as Map<string, Named>;
  }
}
