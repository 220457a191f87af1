/**
 * `weave ipam check`: one sentence for each thing that is wrong or waits, with the cause and what
 * would resolve it. Empty: all is well.
 */
import { type Cidr, formatCidr, formatIpv4 } from '../core/ip.js';
import { formatPeerName } from '../core/peer-name.js';
import { printable } from '../core/text.js';
import type { IpamStatus } from './interfaces.js';
import { hostRangeOf, overlaps, rangeOf, sizeOf } from './range.js';
import type { StatusParts } from './status.js';

/** Sentences about single things of a kind; the rest is counted. */
const MAX_OF_A_KIND = 20;

export function explain(parts: StatusParts, status: IpamStatus, nowMs: number): string[] {
  return [
    ...explainVote(parts, status),
    ...explainHeld(parts, status),
    ...explainOwners(status),
    ...explainAllocates(parts, status),
    ...explainClaims(parts, status),
    ...explainConflicts(parts, status),
    ...explainRefusals(parts, nowMs),
    ...explainStranded(parts, status),
  ];
}

function explainVote({ options }: StatusParts, { vote }: IpamStatus): string[] {
  if (vote === null) return [];
  if (!vote.elector) {
    return [
      'This peer is an observer and waits for another peer to tell it who owns which addresses: ' +
        'connect it to a peer that has a ring, or to one that may vote.',
    ];
  }
  const guessed = options.init.mode === 'consensus' && !options.init.peers;
  const missing = Math.max(0, vote.quorum - vote.knownNodes);
  const cause =
    missing > 0
      ? `only ${vote.knownNodes} of the ${vote.quorum} peers that must agree have been heard of`
      : 'the peers that must agree have not all answered yet';
  const cure = guessed
    ? 'The number was guessed from the targets; start with --ipalloc-init consensus=<number of ' +
      'peers> if it is wrong.'
    : 'Connect more of them, or correct --ipalloc-init.';
  return [`Nobody owns addresses yet: ${cause}. ${cure}`];
}

function explainHeld(parts: StatusParts, { held }: IpamStatus): string[] {
  if (held === null) return [];
  if (held === 'starting') {
    return [
      'This peer has just started with stored ranges and first asks the others whether they are ' +
        'still its own; new addresses wait until they have answered.',
    ];
  }
  if (held === 'cloned') {
    return [
      `Another host uses our peer name ${formatPeerName(parts.options.localPeer)}, so both own the ` +
        'same ranges and neither hands out new addresses: give one of them another name ' +
        '(--name) and remove its stored state; a warning of `weave report` says where it was ' +
        'seen. Two minutes after it is gone addresses are handed out again.',
    ];
  }
  const { holdings, peers, options } = parts;
  const missing = [...holdings.ring.owners()]
    .filter((peer) => peer !== options.localPeer && !peers.isReachable(peer))
    .map((peer) => peers.describe(peer));
  return [
    `This peer is cut off from most owners of ranges (${missing.slice(0, 8).join(', ')}), which ` +
      'may take its ranges over, so it hands out no new addresses; restore the connection, or ' +
      "remove those that are dead with 'weave rmpeer --force'.",
  ];
}

function explainOwners(status: IpamStatus): string[] {
  return status.owners
    .filter(({ reachable }) => !reachable)
    .map(({ peer, nickname, addresses, free, unreachableMs }) => {
      const share = ((100 * addresses) / status.universeAddresses).toFixed(1);
      const name = `${formatPeerName(peer)}(${printable(nickname)})`;
      return (
        `${name} owns ${addresses} addresses (${share} % of the range, ${free} free when last ` +
        `heard of) and has been unreachable for ${formatDuration(unreachableMs)}; if it is dead, ` +
        `'weave rmpeer ${formatPeerName(peer)}' on one host brings them back.`
      );
    });
}

function explainAllocates(parts: StatusParts, status: IpamStatus): string[] {
  if (status.entries.length === 0 || status.held !== null) return [];
  const waiting = new Map<string, { subnet: Cidr; idents: string[] }>();
  for (const { ident, subnet } of status.pendingAllocates) {
    const key = formatCidr(subnet);
    const entry = waiting.get(key) ?? { subnet, idents: [] };
    entry.idents.push(printable(ident));
    waiting.set(key, entry);
  }
  return [...waiting].slice(0, MAX_OF_A_KIND).map(([key, { subnet, idents }]) => {
    const who = idents.slice(0, 3).join(', ') + (idents.length > 3 ? ', …' : '');
    return (
      `${idents.length} request(s) wait for an address of ${key} (${who}): ` +
      `${whereAddressesAre(parts, subnet)}. They are fulfilled when an address is released, ` +
      'when an unreachable owner comes back or is removed, or in another subnet.'
    );
  });
}

/** Exhaustion says how many addresses are where. */
function whereAddressesAre({ holdings, peers, options }: StatusParts, subnet: Cidr): string {
  const { ring, space } = holdings;
  const range = hostRangeOf(subnet);
  const used = space.countOwned(range) - space.countFree(range);
  const places = [`${used} in use here, ${space.countFree(range)} free here`];
  const sizes = new Map<string, number>();
  const free = ring.freeByPeer(rangeOf(subnet));
  for (const part of ring.ranges()) {
    if (part.peer === options.localPeer || !overlaps(part, range)) continue;
    const size = sizeOf({
      start: Math.max(part.start, range.start),
      end: Math.min(part.end, range.end),
    });
    const left = free.get(part.peer) ?? 0;
    const known = peers.known.has(part.peer) ? `about ${left} free` : 'unreachable';
    const who = `at ${printable(peers.describe(part.peer))} (${known})`;
    sizes.set(who, (sizes.get(who) ?? 0) + size);
  }
  for (const [who, size] of sizes) places.push(`${size} ${who}`);
  return places.slice(0, MAX_OF_A_KIND).join('; ');
}

function explainClaims({ holdings, peers }: StatusParts, status: IpamStatus): string[] {
  return status.pendingClaims.slice(0, MAX_OF_A_KIND).map(({ ident, cidr }) => {
    const owner = holdings.ring.ownerOf(cidr.address);
    const cause = holdings.ring.isEmpty
      ? 'nobody owns addresses yet'
      : peers.isReachable(owner)
        ? `its owner ${printable(peers.describe(owner))} has been asked for it`
        : `its owner ${printable(peers.describe(owner))} is unreachable`;
    return `The claim of ${formatCidr(cidr)} for ${printable(ident)} waits: ${cause}.`;
  });
}

function explainConflicts({ peers }: StatusParts, status: IpamStatus): string[] {
  return status.conflicts.slice(0, MAX_OF_A_KIND).map(({ reason, theirs, sinceMs }) => {
    const who = printable(peers.describe(theirs));
    return (
      `Disputed for ${formatDuration(sinceMs)}, nothing is handed out of it: ${reason}. It ends ` +
      `when ${who} gives the range up, for example by a restart without its stored data.`
    );
  });
}

function explainRefusals({ holdings, peers }: StatusParts, nowMs: number): string[] {
  return holdings.conflicts.refusals.map(({ peer, text, sinceMs }) => {
    const who = printable(peers.describe(peer));
    return (
      `The ring of ${who} has been refused for ${formatDuration(nowMs - sinceMs)}: ` +
      `${printable(text)}. Addresses are not shared with it; one side must be reset and join the other.`
    );
  });
}

function explainStranded({ peers }: StatusParts, status: IpamStatus): string[] {
  return status.stranded.slice(0, MAX_OF_A_KIND).map(({ ident, cidr, owner, duplicate }) => {
    const address = formatIpv4(cidr.address);
    const who = printable(peers.describe(owner));
    if (duplicate) {
      return (
        `${address} of ${printable(ident)} is in use twice: here and at ${who}, which owns it. ` +
        'Detach one of the two and attach it anew.'
      );
    }
    if (owner === 0) return `${address} of ${printable(ident)} waits for the range to have owners.`;
    const state = peers.isReachable(owner) ? 'it has been asked for it' : 'it is unreachable';
    return `${address} of ${printable(ident)} lies in a range of ${who}; ${state}.`;
  });
}

function formatDuration(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}
