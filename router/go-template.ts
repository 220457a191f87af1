/**
 * The part of Go's text/template that `weave report -f` needs: fields, variables, pipelines,
 * if, with, range, else, comparisons, and, or, not, len, index, json, print, printf, blank
 * trimming and comments. Not: define, template, block, methods.
 *
 * Templates come from whoever reaches the status API, so size, work and output are limited.
 * Source: the Go documentation of text/template; reference/http-api.md 8.
 */
import { DecodeError } from '../core/errors.js';
import { valueText } from './go-template/format.js';
import { fieldOf, functions, isNil, TemplateFailure, truth } from './go-template/functions.js';
import { type Node, type Operand, type Pipeline, parse } from './go-template/parse.js';
import { isMap } from './report-json.js';

export const MAX_TEMPLATE_BYTES = 64 * 1024;
const MAX_OUTPUT_CHARS = 16 * 1024 * 1024;
/** Nodes, commands and operands run, plus a share of each text made. */
const MAX_STEPS = 500_000;
const CHARS_PER_STEP = 64;

export type TemplateResult =
  | { readonly ok: true; readonly text: string }
  /** Failed while running; `text` is what was printed up to there. */
  | { readonly ok: false; readonly text: string; readonly reason: string };

/** @throws {DecodeError} `template-invalid` if it does not parse; the text is for the user. */
export function runTemplate(template: string, data: unknown): TemplateResult {
  if (template.length > MAX_TEMPLATE_BYTES) {
    throw new DecodeError('template-invalid', 'template: format:1: template too long');
  }
  const nodes = parse(template, new Set(functions.keys()));
  const runner = new Runner(data);
  try {
    runner.run(nodes, data);
    return { ok: true, text: runner.output };
  } catch (error) {
    if (!(error instanceof TemplateFailure)) throw error;
    return { ok: false, text: runner.output, reason: error.message };
  }
}

class Runner {
  output = '';
  #steps = 0;
  /** Innermost last; `$` is the data as a whole. */
  readonly #variables: { name: string; value: unknown }[];

  constructor(data: unknown) {
    this.#variables = [{ name: '', value: data }];
  }

  run(nodes: readonly Node[], dot: unknown): void {
    for (const node of nodes) {
      this.#step();
      if (node.kind === 'text') this.#print(node.text);
      else if (node.kind === 'print') {
        const value = this.#pipeline(node.pipeline, dot);
        if (node.pipeline.variables.length === 0) this.#print(valueText(value));
      } else this.#block(node, dot);
    }
  }

  #block(node: Extract<Node, { kind: 'if' | 'with' | 'range' }>, dot: unknown): void {
    const scope = this.#variables.length;
    if (node.kind === 'range') this.#range(node, dot);
    else {
      const value = this.#pipeline(node.pipeline, dot);
      const inner = node.kind === 'with' ? value : dot;
      if (truth(value)) this.run(node.body, inner);
      else this.run(node.otherwise, dot);
    }
    this.#variables.length = scope;
  }

  #range(node: Extract<Node, { kind: 'if' | 'with' | 'range' }>, dot: unknown): void {
    const { variables, declares } = node.pipeline;
    const value = this.#pipeline({ ...node.pipeline, variables: [] }, dot);
    const entries = rangeEntries(value);
    if (entries.length === 0) {
      this.run(node.otherwise, dot);
      return;
    }
    for (const [key, item] of entries) {
      this.#step();
      const scope = this.#variables.length;
      // One variable holds the element, two hold key and element.
      const held = variables.length === 2 ? [key, item] : [item];
      variables.forEach((name, i) => {
        this.#assign(name, held[i], declares);
      });
      this.run(node.body, item);
      this.#variables.length = scope;
    }
  }

  #pipeline(pipeline: Pipeline, dot: unknown): unknown {
    let piped: { value: unknown } | null = null;
    for (const command of pipeline.commands) piped = { value: this.#command(command, dot, piped) };
    const value = piped?.value;
    for (const name of pipeline.variables) this.#assign(name, value, pipeline.declares);
    return value;
  }

  #command(
    command: readonly Operand[],
    dot: unknown,
    piped: { readonly value: unknown } | null,
  ): unknown {
    this.#step();
    const first = command[0] as Operand;
    if (first.kind !== 'function') {
      if (piped !== null) throw new TemplateFailure("can't give argument to non-function");
      return this.#operand(first, dot);
    }
    const args = command.slice(1).map((operand) => this.#operand(operand, dot));
    if (piped !== null) args.push(piped.value);
    return this.#call(first.name, args);
  }

  #operand(operand: Operand, dot: unknown): unknown {
    this.#step();
    let value: unknown;
    if (operand.kind === 'dot') value = dot;
    else if (operand.kind === 'literal') value = operand.value;
    else if (operand.kind === 'variable') {
      value = this.#variables.findLast((v) => v.name === operand.name)?.value;
    } else if (operand.kind === 'pipeline') value = this.#pipeline(operand.pipeline, dot);
    else value = this.#call(operand.name, []);
    for (const field of operand.fields) value = fieldOf(value, field);
    return value;
  }

  #call(name: string, args: readonly unknown[]): unknown {
    const called = functions.get(name);
    if (called === undefined || args.length < called.min) {
      throw new TemplateFailure(`wrong number of args for ${name}`);
    }
    const value = called.call(...args);
    // Without this, a text that doubles in a loop would cost little and grow without end.
    if (typeof value === 'string') this.#step(value.length / CHARS_PER_STEP);
    return value;
  }

  #assign(name: string, value: unknown, declares: boolean): void {
    const variable = declares ? undefined : this.#variables.findLast((v) => v.name === name);
    if (variable === undefined) this.#variables.push({ name, value });
    else variable.value = value;
  }

  #step(weight = 1): void {
    this.#steps += weight;
    if (this.#steps > MAX_STEPS) throw new TemplateFailure('too much work');
  }

  #print(text: string): void {
    if (this.output.length + text.length > MAX_OUTPUT_CHARS) {
      throw new TemplateFailure('too much output');
    }
    this.output += text;
  }
}

function rangeEntries(value: unknown): [unknown, unknown][] {
  if (isNil(value)) return [];
  if (Array.isArray(value)) return value.map((item, i) => [i, item]);
  if (typeof value === 'object' && isMap(value)) return Object.entries(value);
  throw new TemplateFailure("range can't iterate over this value");
}
