/**
 * Limits that more than one folder must agree on. Everything that grows with what peers send has
 * one, here or beside its only user.
 */
export const BASE_PORT = 6783;
export const DEFAULT_CONNECTION_LIMIT = 200;
/** Largest control frame after its length field, sealed or not. */
export const MAX_CONTROL_FRAME_BYTES = 10 * 1024 * 1024;
/** Largest UDP payload over IPv4. */
export const MAX_DATAGRAM_BYTES = 65507;
/** Ethernet header without VLAN tag. */
export const ETHERNET_HEADER_BYTES = 14;
/** MTU of the bridge and of workloads unless `--mtu` says otherwise. */
export const DEFAULT_MTU = 1376;
/** Threads of one sender whose datagrams we take apart from each other; see fastdp/lanes.ts. */
export const MAX_LANES = 16;
/** Peers kept in the topology; more are refused with a counter. */
export const MAX_PEERS = 10_000;
