/**
 * The numbers of datagrams sealed with NaCl, one sequence per DF class: a nonce holds its number,
 * so none may come twice. Source: reference/wire-protocol.md 10.4.
 */
import type { LinkBoard } from './link-board.js';

/** Next numbers. At ten million datagrams a second 2^53 lasts 28 years. */
export interface Sequences {
  next(df: boolean): number;
}

/** Of a router with one thread. */
export class OwnSequences implements Sequences {
  nextDf = 0;
  nextNonDf = 0;

  next(df: boolean): number {
    return df ? this.nextDf++ : this.nextNonDf++;
  }
}

/** Numbers taken together; a thread that seals little wastes the rest of its block. */
export const BLOCK_NUMBERS = 256;
/**
 * A block is left after this time. The receiver remembers the last 2^20 numbers at least, which
 * other threads do not use up so soon: that would be ten million datagrams a second.
 */
const BLOCK_MS = 100;

/** Several threads count together: each takes blocks from shared memory. */
export class SharedSequences implements Sequences {
  readonly #board: LinkBoard;
  /** Next number and end of the block in use, without and with DF. */
  readonly #next = [0, 0];
  readonly #end = [0, 0];
  readonly #untilMs = [0, 0];
  #nowMs = 0;

  constructor(board: LinkBoard) {
    this.#board = board;
  }

  /** To be called once a round: old blocks are not used any more. */
  refresh(nowMs: number): void {
    this.#nowMs = nowMs;
    for (let i = 0; i < 2; i++) {
      if (nowMs >= (this.#untilMs[i] as number)) this.#next[i] = this.#end[i] as number;
    }
  }

  next(df: boolean): number {
    const i = df ? 1 : 0;
    let number = this.#next[i] as number;
    if (number === this.#end[i]) {
      number = this.#board.takeBlock(df) * BLOCK_NUMBERS;
      this.#end[i] = number + BLOCK_NUMBERS;
      this.#untilMs[i] = this.#nowMs + BLOCK_MS;
    }
    this.#next[i] = number + 1;
    return number;
  }
}
