/** Where programs find their version. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';
import { packageVersion } from '../../../core/io/package-version.js';

describe('the version of a program', () => {
  it('is that of the nearest package above, compiled or packed', (t) => {
    const root = mkdtempSync(join(tmpdir(), 'weave-version-'));
    t.after(() => rmSync(root, { recursive: true }));
    mkdirSync(join(root, 'lib/k8s/npc'), { recursive: true });
    writeFileSync(join(root, 'package.json'), '{"version":"1.2.3"}');
    const program = pathToFileURL(join(root, 'lib/k8s/npc/main.js')).href;
    assert.equal(packageVersion(program), '1.2.3');
    writeFileSync(join(root, 'lib/package.json'), '{"version":"4.5.6"}');
    assert.equal(packageVersion(program), '4.5.6');
  });

  it('is missed by name where there is no package', () => {
    assert.throws(() => packageVersion('file:///nowhere/main.js'), /nowhere\/main\.js/);
  });
});
