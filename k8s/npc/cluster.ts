/**
 * The full state of the cluster as far as policies need it. The caller tells each object's newest
 * form; repeated events change nothing, and a deletion of an earlier pod (other uid) that comes
 * after its successor is ignored. BOUNDED by what the API server holds.
 */
import { keyOf, type Namespace, type Pod, type Policy } from './objects.js';

export interface Objects {
  readonly pods: Pod;
  readonly namespaces: Namespace;
  readonly policies: Policy;
}

export type Kind = keyof Objects;

interface Named {
  readonly namespace?: string;
  readonly name: string;
  readonly uid: string;
}

const key = ({ namespace = '', name }: Named): string => keyOf({ namespace, name });

export class Cluster {
  readonly #objects: { readonly [K in Kind]: Map<string, Objects[K]> } = {
    pods: new Map(),
    namespaces: new Map(),
    policies: new Map(),
  };

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

  /** After a list: what is not in `objects` is gone. */
  replaceAll<K extends Kind>(kind: K, objects: Iterable<Objects[K]>): void {
    const all: Map<string, Objects[K]> = this.#objects[kind];
    all.clear();
    for (const object of objects) all.set(key(object), object);
  }

  set<K extends Kind>(kind: K, object: Objects[K]): void {
    const all: Map<string, Objects[K]> = this.#objects[kind];
    all.set(key(object), object);
  }

  /** @returns whether there was one; false for a uid that has been followed by another. */
  delete(kind: Kind, object: Named): boolean {
    const all: Map<string, Named> = this.#objects[kind];
    const known = all.get(key(object));
    if (known === undefined) return false;
    if (object.uid !== '' && known.uid !== '' && object.uid !== known.uid) return false;
    return all.delete(key(object));
  }
}
