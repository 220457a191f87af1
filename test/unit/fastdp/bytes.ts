/** Reads what the vector files write. */
import { fromHex } from '../../../core/bytes.js';
import type { PeerName } from '../../../core/peer-name.js';
import { loadVectors } from '../../support/vectors.js';

export interface VectorFrame {
  readonly src_name: string;
  readonly dst_name: string;
  readonly length: number;
  readonly frame_hex?: string;
  readonly kind?: string;
  readonly connection_uid?: string;
}

export interface VectorPacket {
  readonly name: string;
  readonly encrypted: boolean;
  readonly frames: readonly VectorFrame[];
  readonly packet_hex?: string;
  readonly packet_first_64_hex?: string;
  readonly packet_last_32_hex?: string;
  readonly packet_length: number;
  readonly packet_sha256: string;
  readonly sender_name: string;
  readonly session_key?: string;
  readonly sender_is_outbound?: boolean;
  readonly df?: boolean;
  readonly sequence?: number;
}

export interface SleeveVectors {
  readonly packets: readonly VectorPacket[];
  readonly big_encrypted_packet: {
    readonly packet_base64: string;
    readonly session_key: string;
    readonly sender_is_outbound: boolean;
    readonly sequence: number;
  };
  readonly malformed: readonly {
    readonly name: string;
    readonly body_hex: string;
    readonly frames_delivered: number;
    readonly error: string;
  }[];
  readonly replay_window: {
    readonly runs: readonly {
      readonly name: string;
      readonly packets: readonly { readonly sequence: string; readonly accepted: boolean }[];
    }[];
  };
  readonly df_and_polarity: readonly {
    readonly sequence_field_hex: string;
    readonly sender_is_outbound: boolean;
    readonly accepted: boolean;
    readonly decryption_failed: boolean;
  }[];
  readonly classification: readonly {
    readonly name: string;
    readonly frame_hex: string;
    readonly result: {
      readonly layers_decoded: number;
      readonly special: boolean;
      readonly df: boolean;
      readonly src_mac: string;
      readonly dst_mac: string;
    };
  }[];
  readonly icmp_frag_needed: readonly {
    readonly name: string;
    readonly mtu: number;
    readonly offending_frame_base64: string;
    readonly icmp_frame_hex: string;
  }[];
  readonly fragmentation: readonly {
    readonly name: string;
    readonly mtu: number;
    readonly frame_base64: string;
    readonly fragments_base64: readonly string[];
  }[];
  readonly pmtu_search: readonly {
    readonly underlay_pmtu_reported: number;
    readonly overhead_df: number;
    readonly largest_overlay_mtu_that_passes: number;
    readonly steps: readonly {
      readonly candidate: number;
      readonly special_frame_length: number;
      readonly outcome: string;
    }[];
    readonly final_mtu: number;
    readonly final_max_payload: number;
  }[];
}

export const sleeveVectors = loadVectors<SleeveVectors>('sleeve.json');

export function fromBase64(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'base64'));
}

export function nameFromHex(text: string): PeerName {
  return Number.parseInt(text, 16) as PeerName;
}

/** The frame's bytes, or zeros, with a heartbeat's identity in place. */
export function frameOf(frame: VectorFrame): Uint8Array {
  if (frame.frame_hex !== undefined) return fromHex(frame.frame_hex);
  const bytes = new Uint8Array(frame.length);
  if (frame.connection_uid !== undefined) {
    new DataView(bytes.buffer).setBigUint64(14, BigInt(frame.connection_uid));
  }
  return bytes;
}
