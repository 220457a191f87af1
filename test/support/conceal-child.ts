/** A process that hides its secrets, says so and waits to be looked at. */
import { concealSecrets } from '../../router/io/conceal.js';

const given = concealSecrets('weaver');
const children = process.env['WEAVE_PASSWORD'] ?? 'nothing';
const isComplete = given.argv.includes('top-secret') || given.env['WEAVE_PASSWORD'] !== undefined;
process.stdout.write(`${isComplete} ${children} ${process.argv.slice(2).join(' ')}\n`);
process.stdin.resume();
