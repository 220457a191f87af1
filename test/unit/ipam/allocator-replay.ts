/** Replays a recorded sequence of events on our allocators, one peer at a time. */
import assert from 'node:assert/strict';
import { formatCidr, formatIpv4, type Ipv4, parseCidr, parseIpv4 } from '../../../core/ip.js';
import { formatPeerName, type PeerName, parsePeerName } from '../../../core/peer-name.js';
import { Allocator } from '../../../ipam/allocator.js';
import { decodeState, decodeUnicast, encodeState, encodeUnicast } from '../../../ipam/codec.js';
import type { IpamAction, IpamSnapshot } from '../../../ipam/interfaces.js';
import { ORIGINAL_TUNING } from '../../../ipam/tuning.js';
import { SeededRandom } from '../../sim/seeded-random.js';
import { type RangeText, type RingText, rangeFrom } from './ring-vectors.js';
import { type StateText, stateFrom, stateText } from './state-text.js';

export interface SentText {
  readonly id: number;
  readonly to: string;
  readonly type?: string;
  readonly range?: RangeText;
  readonly state?: StateText;
}

export interface StepText {
  readonly event: string;
  readonly peer: string;
  readonly sent?: readonly SentText[];
  readonly completed?: readonly {
    readonly op: string;
    readonly address?: string;
    readonly error?: string;
  }[];
  readonly after?: {
    readonly owned: Readonly<Record<string, { cidrs: string[]; is_container: boolean }>>;
    readonly ring?: RingText;
    readonly space_owned_ranges: readonly RangeText[];
    readonly num_free: number;
    readonly pending_allocates: number;
    readonly pending_claims: number;
    readonly awaiting_consensus: boolean;
  };
  readonly [key: string]: unknown;
}

export interface ScenarioText {
  readonly name: string;
  readonly steps: readonly StepText[];
}

interface Host {
  readonly allocator: Allocator;
  /** Requests under way, by id, as the record names them. */
  readonly ops: Map<number, string>;
  unreachable: boolean;
}

export class Replay {
  readonly #hosts = new Map<string, Host>();
  readonly #stored = new Map<string, IpamSnapshot>();
  readonly #messages = new Map<number, SentText>();
  #unreachable: readonly string[] = [];
  #nowMs = 1000;

  /** @returns what is different from the record; empty: nothing */
  step(step: StepText): string[] {
    const text = (key: string): string => step[key] as string;
    for (const message of step.sent ?? []) this.#messages.set(message.id, message);
    if (step.event === 'network') {
      this.#unreachable = step['unreachable'] as string[];
      return [];
    }
    if (step.event === 'stop') {
      this.#hosts.delete(step.peer);
      return [];
    }
    if (step.event === 'start') this.#start(step);
    const host = this.#hosts.get(step.peer) as Host;
    const failure = step.event === 'start' ? undefined : this.#run(host, step, text);
    return this.#compare(host, step, failure);
  }

  #start(step: StepText): void {
    const options = step['options'] as {
      nickname: string;
      observer: boolean;
      quorum: number;
      seed: string[];
      uid: string;
      universe: string;
    };
    const localPeer = parsePeerName(step.peer);
    const peers = 2 * options.quorum - 1;
    const allocator = new Allocator(
      {
        localPeer,
        nickname: options.nickname,
        uid: BigInt(options.uid),
        universe: parseCidr(options.universe),
        defaultSubnet: parseCidr(options.universe),
        init: options.observer
          ? { mode: 'observer' }
          : options.seed.length > 0
            ? { mode: 'seed', peers: options.seed.map(parsePeerName) }
            : { mode: 'consensus', peers },
        reclaimAfterMs: null,
      },
      {
        random: new SeededRandom(1),
        mesh: {
          peers: () => this.#peersSeenBy(localPeer),
          isReachable: (peer) => this.#isReachable(peer),
          targetCount: () => 0,
          isCloned: () => false,
        },
      },
      ORIGINAL_TUNING,
    );
    this.#hosts.set(step.peer, { allocator, ops: new Map(), unreachable: false });
    const restores = step['data'] !== 'empty';
    const snapshot = restores ? (this.#stored.get(text(step['data'], step.peer)) ?? null) : null;
    const outcome = allocator.start(snapshot, [], this.#nowMs);
    assert.equal(outcome === 'restored', step['loaded_persisted']);
  }

  #peersSeenBy(_peer: PeerName): { name: PeerName; nickname: string }[] {
    return [...this.#hosts.keys()]
      .map(parsePeerName)
      .filter((name) => this.#isReachable(name))
      .map((name) => ({ name, nickname: '' }));
  }

  #isReachable(peer: PeerName): boolean {
    const name = formatPeerName(peer);
    return this.#hosts.has(name) && !this.#unreachable.includes(name);
  }

  #run(host: Host, step: StepText, text: (key: string) => string): string | undefined {
    const { allocator, ops } = host;
    const ident = text('ident');
    const now = this.#nowMs;
    switch (step.event) {
      case 'allocate': {
        // Nobody calls the allocator for a client that has gone already.
        if (step['client_gone'] === true) return undefined;
        const subnet = parseCidr(text('subnet'));
        const watched = step['is_container'] as boolean;
        const id = allocator.allocate({ ident, subnet, watched }, now);
        ops.set(id, `allocate ${ident}`);
        return undefined;
      }
      case 'claim': {
        const cidr = parseCidr(text('cidr'));
        const watched = step['is_container'] as boolean;
        const optimistic = step['no_error_on_unknown'] as boolean;
        const op = `claim ${ident} ${text('cidr')}`;
        ops.set(allocator.claim({ ident, cidr, watched, optimistic }, now), op);
        return undefined;
      }
      case 'prime':
        ops.set(allocator.prime(now), 'prime');
        return undefined;
      case 'lookup':
        assert.deepEqual(
          allocator.lookup(ident, parseCidr(text('subnet'))).map(formatCidr),
          step['cidrs'],
        );
        return undefined;
      case 'free':
        return errorOf(() => allocator.free(ident, parseIpv4(text('address')), now));
      case 'delete':
        return errorOf(() => allocator.freeAll(ident, now));
      case 'tick':
        this.#nowMs += 1000 * ((step['clock_advanced_s'] as number) || 0);
        this.#nowMs = Math.max(this.#nowMs, allocator.nextTimeout()?.atMs ?? 0);
        allocator.handleTimeout(this.#nowMs);
        return undefined;
      case 'receive':
        return this.#receive(allocator, step);
      case 'receive_periodic': {
        const state = stateFrom(step['state'] as StateText);
        return errorOf(() => allocator.onGossip(encodeState(state), from(step), now));
      }
      case 'container_died':
        allocator.workloadDied(ident, now);
        return undefined;
      case 'container_started':
        allocator.workloadStarted(ident, now);
        return undefined;
      case 'container_destroyed':
        allocator.workloadGone(ident, now);
        return undefined;
      case 'prune_owned':
        allocator.reconcileWorkloads(new Set(step['running'] as string[]), now);
        return undefined;
      case 'rmpeer':
        ops.set(allocator.takeOver(text('who'), true, now), `rmpeer ${text('who')}`);
        return undefined;
      case 'peer_gone':
        allocator.handlePeersChanged(now);
        return undefined;
      case 'shutdown':
        allocator.leave(now);
        return undefined;
      default:
        throw new Error(`unknown event ${step.event}`);
    }
  }

  #receive(allocator: Allocator, step: StepText): string | undefined {
    const message = this.#messages.get(step['message'] as number) as SentText;
    const { state, range } = message;
    const source = from(step);
    if (message.to === '*') {
      const payload = encodeState(stateFrom(state as StateText));
      return errorOf(() => allocator.onGossipBroadcast(payload, source, this.#nowMs));
    }
    const payload =
      state !== undefined
        ? encodeUnicast({ type: 'ring-update', state: stateFrom(state) })
        : encodeUnicast({
            type: message.type === 'space_request' ? 'space-request' : 'denied',
            range: rangeFrom(range as RangeText),
          });
    return errorOf(() => allocator.onGossipUnicast(payload, source, this.#nowMs));
  }

  #compare(host: Host, step: StepText, failure: string | undefined): string[] {
    const { sent: all, completed, snapshot } = drain(host);
    // To find out who is of our kind, peers are told our state; originals take it as an update.
    const isGreeting = (line: string): boolean =>
      step.event === 'tick' && /^[0-9a-f:]+ state/.test(line);
    const sent = all.filter((line) => !isGreeting(line));
    if (snapshot !== null) this.#stored.set(step.peer, snapshot);
    const { allocator } = host;
    const status = allocator.status(this.#nowMs);
    const wrong: string[] = [];
    const check = (what: string, actual: unknown, expected: unknown): void => {
      const [a, b] = [JSON.stringify(actual), JSON.stringify(expected)];
      if (a !== b) wrong.push(`${what}: ${a} instead of ${b}`);
    };
    check('error', failure, step['error']);
    check(
      'completed',
      completed.filter((line) => !line.startsWith('rmpeer')),
      step['client_gone'] === true
        ? []
        : (step.completed ?? []).map(({ op, address, error }) => showResult(op, error ?? address)),
    );
    // Several broadcasts of one action are one here.
    const distinct = (lines: readonly string[]): string[] => [...new Set(lines)].sort();
    check('sent', distinct(sent), distinct((step.sent ?? []).map(showSent)));
    const { after } = step;
    if (after === undefined) return wrong;
    const owned = allocator.list().map(({ ident, watched, cidrs }) => {
      return `${ident} ${watched} ${cidrs.map(formatCidr).join(' ')}`;
    });
    const expected = Object.entries(after.owned).map(
      ([ident, { cidrs, is_container: watched }]) => {
        return `${ident} ${watched} ${cidrs.join(' ')}`;
      },
    );
    check('owned', owned.sort(), expected.sort());
    const ring = status.entries.map((e) => `${formatIpv4(e.token)} ${e.peer} v${e.version}`);
    const expectedRing = (after.ring?.entries ?? []).map(
      ({ token, peer, version }) => `${token} ${parsePeerName(peer)} v${version}`,
    );
    check('ring', ring, expectedRing);
    const free = status.owners.find(({ peer }) => peer === parsePeerName(step.peer))?.free ?? 0;
    check('free', free, after.num_free);
    check('allocates', status.pendingAllocates.length, after.pending_allocates);
    check('claims', status.pendingClaims.length, after.pending_claims);
    check('awaiting', status.vote !== null, after.awaiting_consensus);
    return wrong;
  }
}

const text = (value: unknown, fallback: string): string =>
  typeof value === 'string' && value.includes(':') ? value : fallback;

const from = (step: StepText): PeerName => parsePeerName(step['from'] as string);

function errorOf(run: () => unknown): string | undefined {
  try {
    run();
  } catch (error) {
    return (error as Error).message;
  }
  return undefined;
}

const showResult = (op: string, result: string | undefined): string =>
  result === undefined ? op : `${op}: ${result}`;

/** Without what differs on purpose or by nature: clocks, order of values. */
function showState(state: StateText): string {
  const paxos = state.paxos?.map((entry) => ({
    ...entry,
    accepted_val: {
      ...entry.accepted_val,
      value_sorted: [...new Set(entry.accepted_val.value_sorted)].sort(),
    },
  }));
  paxos?.sort((a, b) => `${a.node.name}${a.node.uid}`.localeCompare(`${b.node.name}${b.node.uid}`));
  const entries = state.ring?.entries.map(
    ({ token, peer, version, free }) => `${token} ${peer} v${version} f${free}`,
  );
  const names = Object.entries(state.nicknames).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify({ names, paxos: sortKeys(paxos ?? null), entries });
}

function sortKeys(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_key, inner: unknown) =>
      inner !== null && typeof inner === 'object' && !Array.isArray(inner)
        ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
        : inner,
    ),
  );
}

function showSent({ to, type, range, state }: SentText): string {
  if (range !== undefined) return `${to} ${type} ${range.join(' ')}`;
  return `${to} state ${showState(state as StateText)}`;
}

function drain(host: Host): {
  sent: string[];
  completed: string[];
  snapshot: IpamSnapshot | null;
} {
  const sent: string[] = [];
  const completed: string[] = [];
  let snapshot: IpamSnapshot | null = null;
  for (
    let action: IpamAction | null = host.allocator.pollAction();
    action !== null;
    action = host.allocator.pollAction()
  ) {
    switch (action.type) {
      case 'persist':
        snapshot = action.snapshot;
        break;
      case 'broadcast': {
        const [payload] = action.data.encode();
        sent.push(`* state ${showState(stateText(decodeState(payload as Uint8Array)))}`);
        break;
      }
      case 'unicast':
        sent.push(showUnicast(formatPeerName(action.destination), action.payload));
        break;
      case 'complete': {
        const op = host.ops.get(action.id) ?? 'allocate';
        const { result } = action;
        if (result.status === 'failed') completed.push(showResult(op, result.text));
        else if (result.request !== 'allocate') completed.push(op);
        else completed.push(showResult(op, formatIpv4(result.cidr.address)));
      }
    }
  }
  return { sent, completed, snapshot };
}

function showUnicast(to: string, payload: Uint8Array): string {
  const message = decodeUnicast(payload);
  if (message === null) return `${to} nothing`;
  if (message.type === 'ring-update') return `${to} state ${showState(stateText(message.state))}`;
  const type = message.type === 'denied' ? 'space_request_denied' : 'space_request';
  const { start, end } = message.range;
  return `${to} ${type} ${formatIpv4(start as Ipv4)} ${formatIpv4((end % 2 ** 32) as Ipv4)}`;
}
