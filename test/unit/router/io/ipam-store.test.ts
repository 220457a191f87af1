/** Snapshot and journal of the allocator: whatever the files look like after a crash. */
import assert from 'node:assert/strict';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { type Logger, silentLogger } from '../../../../core/log.js';
import type { IpamSnapshot } from '../../../../ipam/interfaces.js';
import { IpamJournal } from '../../../../router/io/ipam-journal.js';
import { IpamFileStore } from '../../../../router/io/ipam-store.js';

type Holding = IpamSnapshot['owned'][number];

/** A host whose holders come and go; holdings that stay are the same objects, as in the machine. */
class Rig {
  readonly folder: string;
  readonly lines: string[] = [];
  readonly store: IpamFileStore;
  readonly holdings = new Map<string, Holding>();
  version = 0;

  constructor(t: TestContext) {
    this.folder = mkdtempSync(join(tmpdir(), 'weave-ipam-store-'));
    t.after(async () => {
      await this.store.close();
      rmSync(this.folder, { recursive: true });
    });
    this.store = this.open();
  }

  get journal(): string {
    return join(this.folder, 'ipam.journal');
  }

  get snapshotFile(): string {
    return join(this.folder, 'ipam.json');
  }

  open(folder = this.folder): IpamFileStore {
    const note = (text: string): void => {
      this.lines.push(text);
    };
    const log: Logger = { ...silentLogger, warn: note, error: note };
    return new IpamFileStore({ dbPrefix: `${folder}/` }, { log });
  }

  state(): IpamSnapshot {
    return {
      localPeer: 1,
      universe: { start: 0x0a000000, end: 0x0a000100 },
      ring: { seeds: [1], entries: [[0x0a000000, 1, this.version, 4]] },
      owned: [...this.holdings.values()],
      vote: null,
      uid: '7',
      reclaimAfterMs: null,
    };
  }

  async hold(ident: string, address: number): Promise<void> {
    this.holdings.set(ident, { ident, watched: true, cidrs: [[address, 24]], stranded: [] });
    await this.store.save(this.state());
  }

  async release(ident: string): Promise<void> {
    this.holdings.delete(ident);
    await this.store.save(this.state());
  }
}

/** Text of a state, whatever the order of its holders. */
function text(state: IpamSnapshot | null): string {
  if (state === null) return 'none';
  const owned = [...state.owned].sort((a, b) => (a.ident < b.ident ? -1 : 1));
  return JSON.stringify({ ...state, owned }, Object.keys(flat(state)).sort());
}

function flat(state: IpamSnapshot): Record<string, true> {
  const keys: Record<string, true> = {};
  JSON.stringify(state, (key, value: unknown) => {
    keys[key] = true;
    return value;
  });
  for (const key of ['ident', 'watched', 'cidrs', 'stranded']) keys[key] = true;
  return keys;
}

test('changes go to the journal; a start reads snapshot and journal', async (t) => {
  const rig = new Rig(t);
  await rig.hold('a', 0x0a000001);
  const first = readFileSync(rig.snapshotFile, 'utf8');
  await rig.hold('b', 0x0a000002);
  await rig.release('a');
  await rig.hold('c', 0x0a000001);
  rig.version = 9;
  await rig.store.save(rig.state());
  assert.equal(readFileSync(rig.snapshotFile, 'utf8'), first);
  assert.equal(text(rig.open().load()), text(rig.state()));
  assert.deepEqual(rig.lines, []);
});

test('cut at any byte, the journal gives a state that was stored, of whole lines', async (t) => {
  const rig = new Rig(t);
  const states: string[] = [];
  const ends: number[] = [];
  for (let n = 0; n < 8; n++) {
    await (n % 3 === 2 ? rig.release(`c${n - 1}`) : rig.hold(`c${n}`, 0x0a000001 + n));
    states.push(text(rig.state()));
    ends.push(readFileSync(rig.journal).length);
  }
  const whole = readFileSync(rig.journal);
  for (let length = 0; length <= whole.length; length++) {
    writeFileSync(rig.journal, whole.subarray(0, length));
    const last = ends.filter((end) => end <= length).length - 1;
    assert.equal(text(rig.open().load()), states[Math.max(0, last)], `cut at ${length}`);
  }
});

test('changed anywhere, it gives a state that was stored; the file is kept', async (t) => {
  const rig = new Rig(t);
  const states: string[] = [];
  for (let n = 0; n < 6; n++) {
    await rig.hold(`c${n}`, 0x0a000001 + n);
    states.push(text(rig.state()));
  }
  const whole = readFileSync(rig.journal);
  const middle = whole.indexOf('\n') + 30;
  fc.assert(
    fc.property(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const file = Buffer.from(whole);
      file[at] = (file[at] as number) ^ change;
      writeFileSync(rig.journal, file);
      assert.ok(states.includes(text(rig.open().load())), `changed at ${at}`);
    }),
    { numRuns: 300 },
  );
  for (const name of readdirSync(rig.folder)) {
    if (name.includes('.damaged-')) rmSync(join(rig.folder, name));
  }
  rig.lines.length = 0;
  const damaged = Buffer.from(whole);
  damaged[middle] = (damaged[middle] as number) ^ 1;
  writeFileSync(rig.journal, damaged);
  assert.equal(text(rig.open().load()), states[0]);
  assert.deepEqual(rig.lines, ['stored changes of addresses are damaged; those before are used']);
  assert.deepEqual(readFileSync(`${rig.journal}.damaged-1`), damaged);
});

test('a journal of an older snapshot says nothing: a crash between the two loses nothing', async (t) => {
  const rig = new Rig(t);
  await rig.hold('a', 0x0a000001);
  await rig.hold('b', 0x0a000002);
  const old = `${rig.folder}/old`;
  copyFileSync(rig.journal, old);
  const next = rig.open();
  assert.equal(text(next.load()), text(rig.state()));
  rig.holdings.delete('b');
  // The first change after a start is a snapshot, and void makes what was before it.
  await next.save(rig.state());
  copyFileSync(old, rig.journal);
  assert.equal(text(rig.open().load()), text(rig.state()));
  assert.deepEqual(rig.lines, []);
  await next.close();
});

test('a journal that has grown is replaced by a snapshot', async (t) => {
  const rig = new Rig(t);
  await rig.hold('a', 0x0a000001);
  const first = readFileSync(rig.snapshotFile, 'utf8');
  let largest = 0;
  for (let n = 0; n < 60; n++) {
    await rig.hold(`${'x'.repeat(10_000)}${n % 3}`, 0x0a000002 + (n % 3));
    largest = Math.max(largest, readFileSync(rig.journal).length);
  }
  assert.notEqual(readFileSync(rig.snapshotFile, 'utf8'), first);
  assert.ok(largest < 300_000, `${largest} bytes`);
  assert.equal(text(rig.open().load()), text(rig.state()));
});

test('after a write that failed the next one is a snapshot', async (t) => {
  const rig = new Rig(t);
  await rig.hold('a', 0x0a000001);
  const first = readFileSync(rig.snapshotFile, 'utf8');
  const full = async (): Promise<void> => {
    throw new Error('ENOSPC: no space left on device');
  };
  t.mock.method(IpamJournal.prototype, 'append', full, { times: 1 });
  await assert.rejects(rig.hold('b', 0x0a000002), { code: 'state-unwritable', message: /ENOSPC/ });
  await rig.store.save(rig.state());
  assert.notEqual(readFileSync(rig.snapshotFile, 'utf8'), first);
  assert.equal(text(rig.open().load()), text(rig.state()));
});

test('where no journal can be, each change is a snapshot', async (t) => {
  const rig = new Rig(t);
  mkdirSync(rig.journal);
  await rig.hold('a', 0x0a000001);
  await rig.hold('b', 0x0a000002);
  assert.match(rig.lines[0] ?? '', /no journal/);
  rmdirSync(rig.journal);
  assert.equal(text(rig.open().load()), text(rig.state()));
});

test('set aside it is one file, removed it is gone', async (t) => {
  const rig = new Rig(t);
  await rig.hold('a', 0x0a000001);
  await rig.hold('b', 0x0a000002);
  const expected = text(rig.state());
  const other = rig.open();
  other.load();
  other.setAside('other-range');
  assert.ok(!existsSync(rig.journal));
  assert.equal(rig.open().load(), null);
  copyFileSync(`${rig.snapshotFile}.other-range-1`, rig.snapshotFile);
  assert.equal(text(rig.open().load()), expected);
  await rig.store.close();
  await rig.hold('a', 0x0a000001);
  rig.store.remove();
  assert.deepEqual(
    readdirSync(rig.folder).filter((name) => !name.includes('other-range')),
    [],
  );
  await rig.hold('b', 0x0a000002);
  assert.equal(rig.open().load(), null);
});
