/**
 * Shapes of the control API, the only file of the router that cli/ and k8s/ may import: the report
 * with the original's keys, the JSON routes that the original did not have, and where the router
 * listens by default. Plain types and constants, so that the command line starts fast; the schemas
 * are in api/request-schemas.ts.
 * Source: reference/http-api.md 2, 8.
 */
export const DEFAULT_HTTP_ADDRESS = '127.0.0.1:6784';
export const DEFAULT_STATUS_ADDRESS = '127.0.0.1:6782';
/** Root-only twin of the control listener; the command line prefers it. */
export const DEFAULT_SOCKET_PATH = '/run/weave/weave.sock';
/** Root-only socket of the policy controller, which answers `weave status npc` and `weave npc`. */
export const DEFAULT_NPC_SOCKET_PATH = '/run/weave/npc.sock';
/** Of `weaver` when another router has taken its place, so that a supervisor does not start it. */
export const HANDED_OVER_EXIT_CODE = 4;
/** What `weaver` tells a parent that gave it a channel (IPC of Node), once all parts are started. */
export const READY_MESSAGE = 'ready';

export const DEFAULT_CONFIG_PATH = '/etc/weave/weave.yaml';
/** Stored state is this with `state.json` and `ipam.json` …, the original's `data.db`. */
export const DEFAULT_DB_PREFIX = '/var/lib/weave/weave';

/**
 * An address as it is asked for: `10.2.1.5/24` or `ip:10.2.1.5/24` is this one, `net:10.2.1.0/24`
 * one that the allocator chooses from a subnet, `net:default` from its default subnet.
 */
export type AddressText = string;

/** `POST /attach`. Answers 200 with `AddressesReply`, 400 with the field and what is expected. */
export interface AttachRequest {
  /** Netns name, path, pid or container id; at most 4096 characters. */
  readonly target: string;
  /** At most 64; none means `net:default`. */
  readonly addresses: readonly AddressText[];
  readonly options?: {
    /** Route 224.0.0.0/4 through the overlay inside the workload; true unless given. */
    readonly multicastRoute?: boolean;
    /** Names for each address, `web` or `web.weave.local`. */
    readonly names?: readonly string[];
  };
}

/** `POST /detach`. Answers like `POST /attach`. `net:` means all that were chosen from there. */
export interface DetachRequest {
  readonly target: string;
  readonly addresses: readonly AddressText[];
}

/** `POST /expose`. Answers like `POST /attach`. */
export interface ExposeRequest {
  readonly addresses: readonly AddressText[];
  /** Traffic to other networks leaves under an address of this host; true unless given. */
  readonly masquerade?: boolean;
}

/** `POST /hide`. Answers like `POST /attach`. */
export interface HideRequest {
  readonly addresses: readonly AddressText[];
}

export interface AddressesReply {
  /** With prefix, in the order asked for. */
  readonly addresses: readonly string[];
}

/** One line of `GET /attachments`: a workload with an interface on our bridge. */
export interface AttachmentView {
  /** What names the workload: netns name, path, pid or container id. */
  readonly target: string;
  /** If it is one; its name if an engine tells that. */
  readonly container: { readonly id: string; readonly name: string | null } | null;
  /** MAC of its interface `ethwe`, or of the bridge for `weave:expose`. */
  readonly mac: string;
  readonly cidrs: readonly string[];
}

/** One line of `GET /exposures`: an address of this host on the overlay. */
export interface ExposureView {
  readonly cidr: string;
  /** Traffic to other networks leaves under an address of this host. */
  readonly masquerade: boolean;
}

/** Lists that are empty print as `null`, like the original's; readers must take both. */
export type NullableList<T> = readonly T[] | null;

export interface ReportPeerConnection {
  readonly Name: string;
  readonly NickName: string;
  readonly Address: string;
  readonly Outbound: boolean;
  readonly Established: boolean;
}

export interface ReportPeer {
  readonly Name: string;
  readonly NickName: string;
  /** 64 bits: a double can not hold it. */
  readonly UID: bigint | number;
  readonly ShortID: number;
  readonly Version: bigint | number;
  readonly Connections: NullableList<ReportPeerConnection>;
}

export interface ReportConnection {
  readonly Address: string;
  readonly Outbound: boolean;
  readonly State: string;
  readonly Info: string;
  /** `name` is the overlay's, the others are its own; null before there is an overlay. */
  readonly Attrs: Readonly<Record<string, string | number | boolean>> | null;
}

export interface ReportMac {
  readonly Mac: string;
  readonly Name: string;
  readonly NickName: string;
  readonly LastSeen: string;
}

export interface ReportRouter {
  readonly Protocol: string;
  readonly ProtocolMinVersion: number;
  readonly ProtocolMaxVersion: number;
  readonly Encryption: boolean;
  readonly PeerDiscovery: boolean;
  readonly Name: string;
  readonly NickName: string;
  readonly Port: number;
  readonly Peers: NullableList<ReportPeer>;
  readonly UnicastRoutes: NullableList<{ readonly Dest: string; readonly Via: string }>;
  readonly BroadcastRoutes: NullableList<{
    readonly Source: string;
    readonly Via: NullableList<string>;
  }>;
  readonly Connections: NullableList<ReportConnection>;
  readonly TerminationCount: number;
  readonly Targets: NullableList<string>;
  readonly OverlayDiagnostics: Readonly<Record<string, unknown>>;
  readonly TrustedSubnets: NullableList<string>;
  readonly Interface: string;
  readonly CaptureStats: Readonly<Record<string, number>>;
  readonly MACs: NullableList<ReportMac>;
}

export interface ReportIpamEntry {
  readonly Token: string;
  readonly Size: number;
  readonly Peer: string;
  readonly Nickname: string;
  readonly IsKnownPeer: boolean;
  readonly Version: number;
}

export interface ReportIpam {
  readonly Paxos: {
    readonly Elector: boolean;
    readonly KnownNodes: number;
    readonly Quorum: number;
  } | null;
  readonly Range: string;
  readonly RangeNumIPs: number;
  readonly ActiveIPs: number;
  readonly DefaultSubnet: string;
  readonly Entries: NullableList<ReportIpamEntry>;
  readonly PendingClaims: NullableList<{
    readonly Ident: string;
    readonly CIDR: { readonly Addr: string; readonly PrefixLen: number };
  }>;
  readonly PendingAllocates: NullableList<string>;
}

export interface ReportDnsEntry {
  readonly Hostname: string;
  readonly Origin: string;
  readonly ContainerID: string;
  readonly Address: string;
  readonly Version: number;
  /** Unix time of the removal, or 0. */
  readonly Tombstone: number;
}

export interface ReportDns {
  readonly Domain: string;
  readonly Upstream: NullableList<string>;
  readonly Address: string;
  readonly TTL: number;
  readonly Entries: NullableList<ReportDnsEntry>;
}

/** Of the name service; lists are never null. */
export interface ReportDnsExtras {
  /** Served now. */
  readonly Addresses: readonly string[];
  readonly LiveEntries: number;
  readonly Tombstones: number;
  readonly Queries: readonly {
    readonly Type: string;
    readonly Rcode: string;
    readonly Count: number;
  }[];
  readonly Forwarded: number;
  readonly Drops: Readonly<Record<string, number>>;
  readonly UpstreamFailures: Readonly<Record<string, number>>;
  /** Of the name table, by stable name. */
  readonly Events: Readonly<Record<string, number>>;
  /** Upper bounds in seconds; the counts are one more, and not cumulative. */
  readonly DurationBuckets: readonly number[];
  readonly DurationCounts: readonly number[];
  readonly DurationSum: number;
}

/** Of the allocator, what the original had no place for. */
export interface ReportIpamExtras {
  /** What the status page says. */
  readonly Summary: string;
  /** Ours first. */
  readonly Owners: readonly {
    readonly Peer: string;
    readonly NickName: string;
    readonly Addresses: number;
    readonly Free: number;
    readonly Reachable: boolean;
    readonly UnreachableSeconds: number;
  }[];
  /** Ranges that peers contradict each other about. */
  readonly Conflicts: readonly {
    readonly Start: string;
    readonly Size: number;
    readonly Ours: string;
    readonly Theirs: string;
    readonly Seconds: number;
    readonly Reason: string;
  }[];
  /** In use here, but in a range of another peer. */
  readonly Stranded: readonly {
    readonly Ident: string;
    readonly Cidr: string;
    readonly Owner: string;
    readonly Duplicate: boolean;
  }[];
  /** Why new addresses wait although there are some, or null. */
  readonly Held: string | null;
  readonly RingEntries: number;
  readonly Saves: number;
  readonly SaveFailures: number;
  /** Events of the allocator by stable name. */
  readonly Counters: Readonly<Record<string, number>>;
}

/** What the original had no place for. Lists are never null here. */
export interface ReportExtras {
  /** Conditions that a person should mend, one sentence each. */
  readonly Warnings: readonly string[];
  readonly Connections: readonly {
    readonly Address: string;
    readonly Overlay: string | null;
    readonly OverlayReason: string | null;
    readonly ErrorCode: string | null;
    readonly ProtocolVersion: number | null;
  }[];
  /** Events of the control plane by stable name. */
  readonly Counters: Readonly<Record<string, number>>;
  /** Refused API requests by stable reason. */
  readonly ApiRejections: Readonly<Record<string, number>>;
  /** null while the data plane does not answer. */
  readonly DataPlane: {
    readonly FramesCaptured: number;
    readonly FramesInjected: number;
    readonly DatagramsSealed: number;
    readonly DatagramsOpened: number;
    readonly KeyChanges: number;
    readonly MacMoves: number;
    readonly MssClamped: number;
    /** `io_uring` or `syscalls`, and why. */
    readonly Engine: string;
    readonly EngineReason: string;
    /** One for each thread, which has a queue of the device: how the flows are spread. */
    readonly Queues: readonly {
      readonly FramesCaptured: number;
      readonly FramesInjected: number;
    }[];
    /** Work that the kernel does for many frames at once. */
    readonly Offloads: readonly {
      readonly Name: string;
      readonly Enabled: boolean;
      readonly Reason: string;
    }[];
    readonly Drops: Readonly<Record<string, number>>;
    readonly Traffic: readonly {
      readonly Peer: string;
      readonly NickName: string;
      readonly FramesSent: number;
      readonly BytesSent: number;
      readonly FramesReceived: number;
      readonly BytesReceived: number;
      readonly DatagramsSent: number;
      readonly DatagramsReceived: number;
    }[];
  } | null;
  /** null while the name service is off. */
  readonly Dns?: ReportDnsExtras | null;
  /** null: the allocator is off. */
  readonly Ipam: ReportIpamExtras | null;
  /** Of this process. */
  readonly Process: { readonly Pid: number };
}

/** `GET /report`. Parts that are off are `undefined`: absent in JSON, nil in templates. */
export interface Report {
  readonly Ready: boolean;
  readonly Version: string;
  readonly VersionCheck: {
    readonly Enabled: boolean;
    readonly Success: boolean;
    readonly NewVersion: string;
    readonly NextCheckAt: string;
  };
  readonly Router: ReportRouter;
  readonly IPAM?: ReportIpam | undefined;
  readonly DNS?: ReportDns | undefined;
  readonly Proxy?: { readonly Addresses: NullableList<string> } | undefined;
  readonly Plugin?:
    | { readonly Config: Readonly<Record<string, unknown>>; readonly DriverName: string }
    | undefined;
  readonly WeaveNet?: ReportExtras | undefined;
}
