/**
 * Whether a peer that has introduced itself may join: the checks of admission in their order, as a
 * decision that the owner carries out. Both ends decide alone; for duplicates they see the same
 * connection UIDs and so reach the same result. Source: reference/wire-protocol.md 3.10, 3.11.
 */
import { DecodeError } from '../../core/errors.js';
import { type Cidr, cidrContains, parseIpv4 } from '../../core/ip.js';
import { formatPeerName, type PeerName } from '../../core/peer-name.js';
import type { DataCipher } from '../overlay.js';
import { type Cipher, commonCipher, noCommonCipherText } from './ciphers.js';
import { type LeaveReason, leaveLater } from './leave.js';
import { parseIpPort } from './target-address.js';

/** The connection that asks. */
export interface JoinRequest {
  readonly name: PeerName;
  readonly nickname: string;
  readonly uid: bigint;
  readonly connectionUid: bigint;
  /** Overlays the peer speaks; null: it named none and speaks sleeve in the old style. */
  readonly overlays: readonly string[] | null;
  /** Ciphers the peer accepts for datagrams; null: it named none and has NaCl alone. */
  readonly ciphers: readonly string[] | null;
  /** Datagrams go in the clear: no password, or trusted both ways. */
  readonly inTheClear: boolean;
  /** Both as `ip:port`. */
  readonly remoteAddr: string;
  readonly localAddr: string;
  /**
   * The peer may be one we never heard of: it called us, or the user named its address. False for
   * outbound connections to addresses that gossip mentioned.
   */
  readonly mayBeUnknown: boolean;
}

/** The state of the mesh that the decision depends on. */
export interface JoinView {
  readonly self: { readonly name: PeerName; readonly nickname: string; readonly uid: bigint };
  /** The peer has an entry in the topology. */
  readonly known: boolean;
  /** No further peer fits into the topology. */
  readonly topologyFull: boolean;
  /** Our present connection to this peer. */
  readonly existing: { readonly connId: number; readonly connectionUid: bigint } | null;
  /** Connections of both polarities. */
  readonly connectionCount: number;
  /** 0: none. */
  readonly connLimit: number;
  /** Ours, by name; never empty. */
  readonly overlays: readonly string[];
  readonly ciphers: readonly Cipher[];
}

export type JoinDecision =
  /**
   * @property replaces the older connection to the same peer, to be closed with `replacedBy`.
   * @property cipher for datagrams, the same at both ends.
   */
  | { readonly type: 'admit'; readonly replaces: number | null; readonly cipher: DataCipher }
  /** @property closes the older connection, which must end together with this one. */
  | { readonly type: 'refuse'; readonly reason: LeaveReason; readonly closes: number | null };

/** What peers that name no overlays speak. */
const OLD_STYLE_OVERLAY = 'sleeve';
/** Characters of the peer's own words in a text for people. */
const MAX_SHOWN = 100;

export function decideJoin(request: JoinRequest, view: JoinView): JoinDecision {
  const refused = refuseIdentity(request, view) ?? refuseOverlays(request, view);
  if (refused !== null) return { type: 'refuse', reason: refused, closes: null };
  const cipher = request.inTheClear ? 'none' : commonCipher(view.ciphers, request.ciphers);
  if (cipher === null) {
    const text = noCommonCipherText(view.ciphers, request.ciphers);
    return { type: 'refuse', reason: leaveLater('no-common-cipher', text), closes: null };
  }

  const { existing } = view;
  if (existing !== null && request.connectionUid >= existing.connectionUid) {
    // Equal UIDs give no winner that both ends would agree on, so neither connection survives.
    const closes = request.connectionUid === existing.connectionUid ? existing.connId : null;
    return { type: 'refuse', reason: duplicateOf(request), closes };
  }
  // The connection that this one replaces makes room for it.
  const remaining = view.connectionCount - (existing === null ? 0 : 1);
  if (view.connLimit > 0 && remaining >= view.connLimit) {
    const text = `connection limit reached (${view.connLimit})`;
    return { type: 'refuse', reason: leaveLater('connection-limit', text), closes: null };
  }
  return { type: 'admit', replaces: existing?.connId ?? null, cipher };
}

/** For the older connection when a new one to the same peer takes its place, or both end. */
export function duplicateOf(peer: { name: PeerName; nickname: string }): LeaveReason {
  return leaveLater(
    'duplicate-connection',
    `more than one connection to ${describe(peer)}; the one with the lower id stays`,
  );
}

function refuseIdentity(request: JoinRequest, view: JoinView): LeaveReason | null {
  const { self } = view;
  const isOwnName = request.name === self.name;
  if (!isOwnName && !view.known && !request.mayBeUnknown) {
    return leaveLater(
      'unknown-remote-name',
      `Found unknown remote name: ${formatPeerName(request.name)} at ${request.remoteAddr}`,
    );
  }
  if (isOwnName && request.uid !== self.uid) {
    return {
      code: 'name-collision',
      text:
        `local "${describe(self)}" and remote "${describe(request)}" peer names collision: ` +
        `two hosts use one peer name, this one (${self.nickname}, ${request.localAddr}) and ` +
        `the one at ${request.remoteAddr} (${request.nickname.slice(0, MAX_SHOWN)}); give one of them another name`,
      retry: 'never',
      byUs: true,
    };
  }
  if (isOwnName) {
    return {
      code: 'connected-to-self',
      text: 'cannot connect to ourself',
      retry: 'never',
      byUs: true,
    };
  }
  if (!view.known && view.topologyFull) {
    return leaveLater('too-many-peers', 'the topology has no room for another peer');
  }
  return null;
}

function refuseOverlays(request: JoinRequest, view: JoinView): LeaveReason | null {
  const theirs = request.overlays ?? [OLD_STYLE_OVERLAY];
  if (theirs.some((name) => view.overlays.includes(name))) return null;
  const shown = theirs.join(' ').slice(0, MAX_SHOWN);
  return leaveLater(
    'no-common-overlay',
    `no overlays in common with peer (theirs: ${shown}; ours: ${view.overlays.join(' ')})`,
  );
}

function describe(peer: { readonly name: PeerName; readonly nickname: string }): string {
  return `${formatPeerName(peer.name)}(${peer.nickname.slice(0, MAX_SHOWN)})`;
}

/**
 * Whether the remote end lies in one of the subnets the user trusts. They are IPv4; a mapped IPv6
 * address counts as the IPv4 address inside it.
 * @param remoteAddr `ip:port`, or an address alone
 */
export function isTrustedAddress(subnets: readonly Cidr[], remoteAddr: string): boolean {
  const ip = (parseIpPort(remoteAddr)?.ip ?? remoteAddr).replace(/^::ffff:(?=\d+\.)/i, '');
  try {
    const address = parseIpv4(ip);
    return subnets.some((subnet) => cidrContains(subnet, address));
  } catch (error) {
    if (error instanceof DecodeError) return false;
    throw error;
  }
}
