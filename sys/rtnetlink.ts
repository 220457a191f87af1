/**
 * Interfaces, addresses and routes by netlink, without a process for each step.
 * Source: rtnetlink(7), linux/if_link.h, linux/if_addr.h, linux/rtnetlink.h, linux/veth.h.
 */
import { NETLINK_ROUTE, Netlink } from './netlink.js';
import {
  type NetlinkMessage,
  NetlinkWriter,
  NLM_F_ACK,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_EXCL,
  NLM_F_REQUEST,
  parseAttributes,
  textOf,
} from './netlink-message.js';

const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_GETLINK = 18;
const RTM_SETLINK = 19;
const RTM_NEWADDR = 20;
const RTM_GETADDR = 22;
const RTM_NEWROUTE = 24;
const AF_INET = 2;
const AF_BRIDGE = 7;
const IFF_UP = 1;
const IFLA = {
  address: 1,
  name: 3,
  mtu: 4,
  link: 5,
  master: 10,
  protocolInfo: 12,
  linkInfo: 18,
  alias: 20,
  group: 27,
  netnsFd: 28,
} as const;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const VETH_INFO_PEER = 1;
const IFLA_BRPORT_MODE = 4;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RT_TABLE_MAIN = 254;
const RTPROT_BOOT = 3;
const RT_SCOPE_LINK = 253;
const RTN_UNICAST = 1;
const LINK_BODY_BYTES = 16;
const ADDRESS_BODY_BYTES = 8;
const CHANGE = NLM_F_REQUEST | NLM_F_ACK;
const CREATE = CHANGE | NLM_F_CREATE | NLM_F_EXCL;

export interface Link {
  readonly index: number;
  readonly name: string;
  readonly isUp: boolean;
  readonly mtu: number;
  /** `aa:bb:…`, empty for interfaces without one. */
  readonly mac: string;
  /** Index of the bridge, 0 for none. */
  readonly master: number;
  readonly alias: string;
  /** `veth`, `bridge`, …; empty for physical ones. */
  readonly kind: string;
  /** Index of the other end, in its namespace; 0 for none. */
  readonly peerIndex: number;
}

export interface VethPlan {
  readonly name: string;
  readonly peerName: string;
  /** Where the other end is to be. */
  readonly peerNetnsFd: number;
  readonly mtu: number;
  /** Index of the bridge that gets the near end. */
  readonly master: number;
}

export interface RouteChange {
  /** 32-bit number. */
  readonly destination: number;
  readonly prefixLength: number;
  /** null: directly on the interface. */
  readonly gateway: number | null;
  readonly device: number;
}

/** The interfaces of one network namespace. All methods throw `SysError`. */
export class RouteNetlink {
  readonly #socket = new Netlink(NETLINK_ROUTE);

  close(): void {
    this.#socket.close();
  }

  /** @throws {SysError} `ENODEV` */
  link(name: string): Link {
    const writer = linkWriter(RTM_GETLINK, CHANGE, 0).attributeText(IFLA.name, name);
    const [answer] = this.#socket.request(writer, `interface ${name}`);
    return parseLink(answer as NetlinkMessage);
  }

  links(): Link[] {
    const writer = linkWriter(RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 0);
    return this.#socket.request(writer, 'list of interfaces').map(parseLink);
  }

  /** Both ends at once, the far one in its namespace. @throws {SysError} `EEXIST` */
  addVeth(plan: VethPlan): void {
    const writer = linkWriter(RTM_NEWLINK, CREATE, 0)
      .attributeText(IFLA.name, plan.name)
      .attributeU32(IFLA.mtu, plan.mtu)
      .attributeU32(IFLA.master, plan.master)
      .nest(IFLA.linkInfo, (info) =>
        info
          .attributeText(IFLA_INFO_KIND, 'veth')
          .nest(IFLA_INFO_DATA, (data) =>
            data.nest(VETH_INFO_PEER, (peer) =>
              peer
                .bytes(new Uint8Array(LINK_BODY_BYTES))
                .attributeText(IFLA.name, plan.peerName)
                .attributeU32(IFLA.mtu, plan.mtu)
                .attributeU32(IFLA.netnsFd, plan.peerNetnsFd),
            ),
          ),
      );
    this.#socket.request(writer, `add ${plan.name} with ${plan.peerName}`);
  }

  setAlias(index: number, alias: string): void {
    const writer = linkWriter(RTM_SETLINK, CHANGE, index).attributeText(IFLA.alias, alias);
    this.#socket.request(writer, 'set alias');
  }

  setUp(index: number): void {
    this.#socket.request(linkWriter(RTM_SETLINK, CHANGE, index, IFF_UP, IFF_UP), 'set up');
  }

  /** Whether a bridge sends frames back through the port they came from. */
  setHairpin(port: number, isOn: boolean): void {
    const writer = new NetlinkWriter(RTM_SETLINK, CHANGE)
      .u8(AF_BRIDGE, 0)
      .u16(0)
      .u32(port)
      .u32(0)
      .u32(0)
      .nest(IFLA.protocolInfo, (info) => info.attributeU8(IFLA_BRPORT_MODE, isOn ? 1 : 0));
    this.#socket.request(writer, 'set hairpin mode');
  }

  /**
   * Makes the kernel tell the neighbours of an interface all of its IPv4 addresses, by gratuitous
   * ARP: it does so when the hardware address is set, be it the same, if the setting `arp_notify`
   * of the interface is on. A packet socket would take milliseconds to close.
   * @throws {SysError} `ENODEV`
   */
  announce({ index, mac }: Link): void {
    const bytes = Buffer.from(mac.replaceAll(':', ''), 'hex');
    const writer = linkWriter(RTM_SETLINK, CHANGE, index).attribute(IFLA.address, bytes);
    this.#socket.request(writer, 'announce addresses');
  }

  /** A number of the user's own for some interfaces. @throws {SysError} `ENODEV` */
  setGroup(index: number, group: number): void {
    const writer = linkWriter(RTM_SETLINK, CHANGE, index).attributeU32(IFLA.group, group);
    this.#socket.request(writer, 'set group');
  }

  /**
   * Deletes all of a group for little more than the cost of one: the kernel waits for all
   * processors to have let go, some milliseconds, once. This object may not be used meanwhile.
   * @throws {SysError} `ENODEV`: nothing is in the group
   */
  async deleteGroup(group: number): Promise<void> {
    const writer = linkWriter(RTM_DELLINK, CHANGE, 0).attributeU32(IFLA.group, group);
    await this.#socket.requestAside(writer, 'delete interfaces');
  }

  /** @throws {SysError} `EEXIST` */
  addAddress(device: number, address: number, prefixLength: number): void {
    const writer = new NetlinkWriter(RTM_NEWADDR, CREATE)
      .u8(AF_INET, prefixLength, 0, 0)
      .u32(device)
      .attributeIpv4(IFA_LOCAL, address)
      .attributeIpv4(IFA_ADDRESS, address);
    this.#socket.request(writer, 'add address');
  }

  /** IPv4 addresses of one interface. */
  addresses(device: number): { readonly address: number; readonly prefixLength: number }[] {
    const writer = new NetlinkWriter(RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP)
      .u8(AF_INET, 0, 0, 0)
      .u32(0);
    return this.#socket.request(writer, 'list of addresses').flatMap(({ body }) => {
      if (body.readUInt32LE(4) !== device) return [];
      const local = parseAttributes(body.subarray(ADDRESS_BODY_BYTES)).get(IFA_LOCAL);
      if (local === undefined) return [];
      return [{ address: local.readUInt32BE(0), prefixLength: body.readUInt8(1) }];
    });
  }

  /** @throws {SysError} `EEXIST`; `ENETUNREACH` for a gateway that no route leads to. */
  addRoute({ destination, prefixLength, gateway, device }: RouteChange): void {
    const scope = gateway === null ? RT_SCOPE_LINK : 0;
    const writer = new NetlinkWriter(RTM_NEWROUTE, CREATE)
      .u8(AF_INET, prefixLength, 0, 0, RT_TABLE_MAIN, RTPROT_BOOT, scope, RTN_UNICAST)
      .u32(0);
    if (prefixLength > 0) writer.attributeIpv4(RTA_DST, destination);
    if (gateway !== null) writer.attributeIpv4(RTA_GATEWAY, gateway);
    this.#socket.request(writer.attributeU32(RTA_OIF, device), 'add route');
  }
}

/** `struct ifinfomsg` */
function linkWriter(type: number, flags: number, index: number, up = 0, change = 0): NetlinkWriter {
  return new NetlinkWriter(type, flags).u8(0, 0).u16(0).u32(index).u32(up).u32(change);
}

function parseLink({ body }: NetlinkMessage): Link {
  const attributes = parseAttributes(body.subarray(LINK_BODY_BYTES));
  const number = (type: number): number => attributes.get(type)?.readUInt32LE(0) ?? 0;
  const info = attributes.get(IFLA.linkInfo);
  const mac = attributes.get(IFLA.address);
  return {
    index: body.readInt32LE(4),
    name: textOf(attributes.get(IFLA.name)),
    isUp: (body.readUInt32LE(8) & IFF_UP) !== 0,
    mtu: number(IFLA.mtu),
    mac: mac === undefined ? '' : (mac.toString('hex').match(/../g) ?? []).join(':'),
    master: number(IFLA.master),
    alias: textOf(attributes.get(IFLA.alias)),
    kind: info === undefined ? '' : textOf(parseAttributes(info).get(IFLA_INFO_KIND)),
    peerIndex: number(IFLA.link),
  };
}
