/** From segments to a tree. Variables and functions are checked here, as the original does. */
import { lex, type Segment, type Token, templateError } from './lex.js';

export type Operand = (
  | { readonly kind: 'dot' }
  | { readonly kind: 'literal'; readonly value: string | number | boolean | null }
  | { readonly kind: 'variable'; readonly name: string }
  | { readonly kind: 'function'; readonly name: string }
  | { readonly kind: 'pipeline'; readonly pipeline: Pipeline }
) & { readonly fields: readonly string[] };

export interface Pipeline {
  /** One, or two in `range $i, $x := …`. */
  readonly variables: readonly string[];
  /** `:=` makes them, `=` changes them. */
  readonly declares: boolean;
  readonly commands: readonly (readonly Operand[])[];
}

export type Node =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'print'; readonly pipeline: Pipeline }
  | {
      readonly kind: 'if' | 'with' | 'range';
      readonly pipeline: Pipeline;
      readonly body: readonly Node[];
      readonly otherwise: readonly Node[];
    };

/** Blocks and parentheses inside each other, so that recursion stays shallow. */
const MAX_DEPTH = 64;

/** @throws {DecodeError} `template-invalid` with the original's form `template: format:1: …` */
export function parse(template: string, functions: ReadonlySet<string>): Node[] {
  return new Parser(lex(template), functions).parseAll();
}

class Parser {
  readonly #segments: readonly Segment[];
  readonly #functions: ReadonlySet<string>;
  #next = 0;
  #depth = 0;
  #line = 1;
  #tokens: readonly Token[] = [];
  #at = 0;
  /** In scope; a block cuts back to its start when it ends. */
  readonly #variables: string[] = [''];

  constructor(segments: readonly Segment[], functions: ReadonlySet<string>) {
    this.#segments = segments;
    this.#functions = functions;
  }

  parseAll(): Node[] {
    const { nodes, end } = this.#list();
    if (end !== null) throw this.#error(`unexpected {{${end}}}`);
    return nodes;
  }

  /** Up to `end` or `else`, whose tokens after the word stay to be read. */
  #list(): { nodes: Node[]; end: 'end' | 'else' | null } {
    const nodes: Node[] = [];
    while (this.#next < this.#segments.length) {
      const segment = this.#segments[this.#next++] as Segment;
      if (segment.kind === 'text') {
        nodes.push(segment);
        continue;
      }
      this.#line = segment.line;
      this.#tokens = segment.tokens;
      this.#at = 0;
      const word = this.#peek()?.kind === 'word' ? this.#peek()?.text : undefined;
      if (word === 'end' || word === 'else') {
        this.#at += 1;
        return { nodes, end: word };
      }
      if (word === 'if' || word === 'with' || word === 'range') {
        this.#at += 1;
        nodes.push(this.#block(word));
      } else {
        const pipeline = this.#pipeline(false);
        this.#expectEnd();
        nodes.push({ kind: 'print', pipeline });
      }
    }
    return { nodes, end: null };
  }

  #block(kind: 'if' | 'with' | 'range'): Node {
    this.#enter();
    const scope = this.#variables.length;
    const pipeline = this.#pipeline(kind === 'range');
    this.#expectEnd();
    const body = this.#list();
    let otherwise: readonly Node[] = [];
    if (body.end === null) throw this.#error('unexpected EOF');
    if (body.end === 'else') {
      const chained = this.#peek()?.text;
      if (kind !== 'range' && chained === kind) {
        // `else if` shares the one `end`.
        this.#at += 1;
        otherwise = [this.#block(kind)];
      } else {
        this.#expectEnd();
        const rest = this.#list();
        if (rest.end === null) throw this.#error('unexpected EOF');
        if (rest.end === 'else') throw this.#error('expected end; found {{else}}');
        this.#expectEnd();
        otherwise = rest.nodes;
      }
    } else {
      this.#expectEnd();
    }
    this.#variables.length = scope;
    this.#depth -= 1;
    return { kind, pipeline, body: body.nodes, otherwise };
  }

  #pipeline(isRange: boolean): Pipeline {
    const { variables, declares } = this.#declaration(isRange);
    const commands: Operand[][] = [];
    for (;;) {
      commands.push(this.#command());
      if (!this.#takeSymbol('|')) break;
    }
    if (declares) this.#variables.push(...variables);
    return { variables, declares, commands };
  }

  /** `$x :=`, `$x =`, and for range `$i, $x :=`. */
  #declaration(isRange: boolean): { variables: string[]; declares: boolean } {
    const start = this.#at;
    const variables: string[] = [];
    while (this.#peek()?.kind === 'variable') {
      variables.push((this.#take() as Token).text);
      if (isRange && variables.length < 2 && this.#takeSymbol(',')) continue;
      const declares = this.#takeSymbol(':=');
      if (declares || this.#takeSymbol('=')) {
        for (const name of declares ? [] : variables) this.#checkVariable(name);
        return { variables, declares };
      }
      break;
    }
    this.#at = start;
    return { variables: [], declares: false };
  }

  #command(): Operand[] {
    const operands: Operand[] = [];
    for (;;) {
      const token = this.#peek();
      if (token === undefined || (token.kind === 'symbol' && token.text !== '(')) break;
      operands.push(this.#operand());
    }
    if (operands.length === 0) throw this.#error('missing value for command');
    if (operands.length > 1 && operands[0]?.kind !== 'function') {
      throw this.#error("can't give argument to non-function");
    }
    return operands;
  }

  #operand(): Operand {
    const token = this.#take() as Token;
    switch (token.kind) {
      case 'field':
        return { kind: 'dot', fields: [token.text, ...this.#fields()] };
      case 'dot':
        return { kind: 'dot', fields: [] };
      case 'variable':
        this.#checkVariable(token.text);
        return { kind: 'variable', name: token.text, fields: this.#fields() };
      case 'string':
        return { kind: 'literal', value: token.text, fields: [] };
      case 'number':
        return { kind: 'literal', value: Number(token.text), fields: [] };
      case 'word':
        return this.#word(token.text);
      case 'symbol': {
        this.#enter();
        const pipeline = this.#pipeline(false);
        if (!this.#takeSymbol(')')) throw this.#error('unclosed left paren');
        this.#depth -= 1;
        return { kind: 'pipeline', pipeline, fields: this.#fields() };
      }
    }
  }

  #word(text: string): Operand {
    const constants = new Map([
      ['true', true],
      ['false', false],
      ['nil', null],
    ]);
    const constant = constants.get(text);
    if (constant !== undefined) return { kind: 'literal', value: constant, fields: [] };
    if (!this.#functions.has(text)) throw this.#error(`function "${text}" not defined`);
    return { kind: 'function', name: text, fields: [] };
  }

  /** `.b.c` directly behind an operand. */
  #fields(): string[] {
    const fields: string[] = [];
    for (;;) {
      const token = this.#peek();
      if (token?.kind !== 'field' || token.spaced) return fields;
      fields.push((this.#take() as Token).text);
    }
  }

  #checkVariable(name: string): void {
    if (!this.#variables.includes(name)) throw this.#error(`undefined variable "$${name}"`);
  }

  #enter(): void {
    this.#depth += 1;
    if (this.#depth > MAX_DEPTH) throw this.#error(`nested deeper than ${MAX_DEPTH}`);
  }

  #peek(): Token | undefined {
    return this.#tokens[this.#at];
  }

  #take(): Token | undefined {
    return this.#tokens[this.#at++];
  }

  #takeSymbol(text: string): boolean {
    const token = this.#peek();
    if (token?.kind !== 'symbol' || token.text !== text) return false;
    this.#at += 1;
    return true;
  }

  #expectEnd(): void {
    const token = this.#peek();
    if (token !== undefined) throw this.#error(`unexpected ${JSON.stringify(token.text)}`);
  }

  #error(message: string): Error {
    return templateError(this.#line, message);
  }
}
