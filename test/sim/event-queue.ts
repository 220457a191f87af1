/** Simulated time: events in order of time, equal times in the order they were scheduled. */

interface Event {
  readonly atMs: number;
  readonly sequence: number;
  readonly run: () => void;
}

export class EventQueue {
  nowMs = 1000;
  /** A binary heap, earliest first. */
  readonly #heap: Event[] = [];
  #sequence = 0;

  after(delayMs: number, run: () => void): void {
    this.at(this.nowMs + delayMs, run);
  }

  at(atMs: number, run: () => void): void {
    const heap = this.#heap;
    heap.push({ atMs: Math.max(atMs, this.nowMs), sequence: this.#sequence++, run });
    let child = heap.length - 1;
    while (child > 0) {
      const parent = (child - 1) >> 1;
      if (!before(heap[child] as Event, heap[parent] as Event)) break;
      this.#swap(child, parent);
      child = parent;
    }
  }

  /** Runs all events up to the time, which then is now. */
  runTo(endMs: number): void {
    for (;;) {
      const first = this.#heap[0];
      if (first === undefined || first.atMs > endMs) break;
      this.#removeFirst();
      this.nowMs = first.atMs;
      first.run();
    }
    this.nowMs = endMs;
  }

  #removeFirst(): void {
    const heap = this.#heap;
    const last = heap.pop() as Event;
    if (heap.length === 0) return;
    heap[0] = last;
    for (let parent = 0; ; ) {
      const left = 2 * parent + 1;
      if (left >= heap.length) return;
      const right = left + 1;
      const useRight = right < heap.length && before(heap[right] as Event, heap[left] as Event);
      const child = useRight ? right : left;
      if (!before(heap[child] as Event, heap[parent] as Event)) return;
      this.#swap(child, parent);
      parent = child;
    }
  }

  #swap(a: number, b: number): void {
    const heap = this.#heap;
    const held = heap[a] as Event;
    heap[a] = heap[b] as Event;
    heap[b] = held;
  }
}

function before(a: Event, b: Event): boolean {
  return a.atMs === b.atMs ? a.sequence < b.sequence : a.atMs < b.atMs;
}
