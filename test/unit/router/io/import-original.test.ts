/** The first start beside the original's database: what is taken over, and when nothing is. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Cidr, parseCidr } from '../../../../core/ip.js';
import { type Logger, silentLogger } from '../../../../core/log.js';
import { type PeerName, parsePeerName } from '../../../../core/peer-name.js';
import { importOriginal, removeOriginal } from '../../../../router/io/import-original.js';
import { IpamFileStore } from '../../../../router/io/ipam-store.js';
import { StateStore } from '../../../../router/io/state-store.js';
import { SeededRandom } from '../../../sim/seeded-random.js';
import { originalDatabase } from '../../../support/original-database.js';

const RANGE = parseCidr('10.36.0.0/16');
const NAME = parsePeerName('02:00:00:00:00:0a');

class Rig {
  readonly prefix: string;
  readonly lines: string[] = [];
  readonly #log: Logger = {
    ...silentLogger,
    info: (text: string) => this.lines.push(text),
    warn: (text: string) => this.lines.push(text),
  };

  constructor(t: TestContext) {
    const folder = mkdtempSync(join(tmpdir(), 'weave-import-'));
    t.after(() => rmSync(folder, { recursive: true }));
    this.prefix = join(folder, 'weave');
  }

  store(): StateStore {
    return new StateStore({ dbPrefix: this.prefix }, { log: this.#log });
  }

  addresses(): IpamFileStore {
    return new IpamFileStore({ dbPrefix: this.prefix }, { log: this.#log });
  }

  async import(name: PeerName | null = null, universe: Cidr | null = RANGE): Promise<void> {
    await importOriginal(
      { dbPrefix: this.prefix, name, universe },
      { store: this.store(), random: new SeededRandom(1), log: this.#log },
    );
  }
}

for (const suffix of ['data.db', '-netdata.db']) {
  test(`name, ring, addresses and targets of ${suffix} are taken over, once`, async (t) => {
    const rig = new Rig(t);
    const file = rig.prefix + suffix;
    writeFileSync(file, originalDatabase('small'));
    await rig.import();
    const state = rig.store().load();
    assert.equal(state.peerName, '02:00:00:00:00:0a');
    assert.equal(state.targets.length, 3);
    const snapshot = rig.addresses().load();
    assert.equal(snapshot?.localPeer, NAME);
    assert.equal(snapshot?.owned.length, 5);
    assert.equal(snapshot?.ring.entries.length, 2);
    assert.deepEqual(rig.lines, ['took over the state of Weave Net 2']);
    assert.deepEqual(readFileSync(file), originalDatabase('small'));
    // What is ours by then counts.
    rig.store().update({ targets: ['192.0.2.1'] });
    writeFileSync(file, originalDatabase('grown'));
    await rig.import();
    assert.equal(rig.addresses().load()?.owned.length, 5);
    assert.equal(rig.lines.length, 1);
  });
}

test('cut off before it is complete, it is done again', async (t) => {
  const rig = new Rig(t);
  writeFileSync(`${rig.prefix}data.db`, originalDatabase('small'));
  await rig.import();
  rmSync(rig.store().path);
  writeFileSync(`${rig.prefix}data.db`, originalDatabase('grown'));
  await rig.import();
  assert.equal(rig.addresses().load()?.owned.length, 65);
});

test('another name, another range, no allocator: said, and nothing wrong is stored', async (t) => {
  const otherName = new Rig(t);
  writeFileSync(`${otherName.prefix}data.db`, originalDatabase('small'));
  await otherName.import(parsePeerName('02:00:00:00:00:0c'));
  assert.match(otherName.lines.join(), /it is of another peer/);
  assert.ok(!existsSync(otherName.store().path));
  for (const universe of [parseCidr('10.32.0.0/12'), null]) {
    const rig = new Rig(t);
    writeFileSync(`${rig.prefix}data.db`, originalDatabase('small'));
    await rig.import(NAME, universe);
    assert.equal(rig.addresses().load(), null);
    assert.equal(/its range was another/.test(rig.lines.join()), universe !== null);
    assert.equal(rig.store().load().peerName, '02:00:00:00:00:0a');
  }
});

test('after a reset there is nothing to take over', async (t) => {
  const rig = new Rig(t);
  for (const suffix of ['data.db', '-netdata.db']) {
    writeFileSync(rig.prefix + suffix, originalDatabase('small'));
  }
  removeOriginal(rig.prefix);
  await rig.import();
  assert.deepEqual(rig.lines, []);
  assert.ok(!existsSync(rig.store().path));
});

test('a damaged database stops the start and is left alone', async (t) => {
  const rig = new Rig(t);
  writeFileSync(`${rig.prefix}data.db`, 'no database');
  await assert.rejects(rig.import(), { code: 'migration-damaged' });
  assert.ok(!existsSync(rig.store().path));
  assert.equal(readFileSync(`${rig.prefix}data.db`, 'utf8'), 'no database');
});

test('a database that a running router has locked is not read', async (t) => {
  const rig = new Rig(t);
  const file = `${rig.prefix}data.db`;
  writeFileSync(file, originalDatabase('small'));
  const holder = spawn('flock', [file, 'sh', '-c', 'echo locked; exec cat'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  await once(holder.stdout, 'data');
  await assert.rejects(rig.import(), { code: 'migration-in-use', message: /stop the router/ });
  holder.stdin.end();
  await once(holder, 'exit');
  await rig.import();
  assert.equal(rig.addresses().load()?.owned.length, 5);
});
