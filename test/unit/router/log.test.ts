/** Log lines in both forms. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLogger, type LogOptions } from '../../../router/log.js';

const WALL = new Date(2022, 3, 6, 12, 30, 0, 123).getTime();

function logger(options: Partial<LogOptions>) {
  const lines: string[] = [];
  const log = createLogger(
    { level: 'debug', format: 'text', ...options },
    { clock: { nowMs: () => 0, wallMs: () => WALL }, write: (line) => void lines.push(line) },
  );
  return { log, lines };
}

test('text has the original’s form', () => {
  const { log, lines } = logger({});
  log.info('connected', { peer: '82:00:00:00:00:01', count: 3, why: 'a b', none: undefined });
  log.warn('w');
  log.error('e', { big: 18446744073709551615n });
  log.debug('d');
  assert.deepEqual(lines, [
    'INFO: 2022/04/06 12:30:00.123000 connected peer=82:00:00:00:00:01 count=3 why="a b"\n',
    'WARN: 2022/04/06 12:30:00.123000 w\n',
    'ERRO: 2022/04/06 12:30:00.123000 e big=18446744073709551615\n',
    'DEBU: 2022/04/06 12:30:00.123000 d\n',
  ]);
});

test('levels below the wanted one are left out', () => {
  const { log, lines } = logger({ level: 'warning' });
  log.debug('d');
  log.info('i');
  log.warn('w');
  assert.equal(lines.length, 1);
});

test('what a peer sends can not forge a line', () => {
  const { log, lines } = logger({});
  log.info('x', { nickname: 'a\nERRO: b', other: 'c\u2028d\x1b[0m=' });
  assert.equal(lines.join('').split('\n').length, 2);
  assert.ok(!lines.join('').includes('\x1b') && !lines.join('').includes('\u2028'));
});

test('secrets are replaced in both forms', () => {
  for (const format of ['text', 'json'] as const) {
    const { log, lines } = logger({ format });
    log.info('x', { password: 'hidden', token: 'hidden', sessionKey: 'hidden' });
    assert.ok(!lines.join('').includes('hidden'), format);
    assert.ok(lines.join('').includes('redacted'), format);
  }
});

test('json is one object a line', () => {
  const { log, lines } = logger({ format: 'json' });
  log.warn('text', { peer: 'p', uid: 18446744073709551615n });
  assert.deepEqual(JSON.parse(lines[0] as string), {
    level: 'warning',
    time: new Date(WALL).toISOString(),
    peer: 'p',
    uid: '18446744073709551615',
    message: 'text',
  });
});
