/**
 * Why a session ended: the texts users search for, in one place. The wire says nothing about
 * reasons, so a text may add
 * what the other end probably meant.
 * Source of the original's texts: reference/http-api.md 7, reference/wire-protocol.md 3.
 */
import { errorCode, errorText } from '../../core/errors.js';

export interface LeaveReason {
  /** Stable, kebab-case: for counters and logs. */
  readonly code: string;
  /** For people; status pages show it. */
  readonly text: string;
  /** Whether the dialler may try this address again by itself. */
  readonly retry: 'later' | 'never';
  /** We ended it, not the other side or the network. */
  readonly byUs: boolean;
}

/** Both ends as `ip:port`; they are part of the texts for socket errors. */
export interface Endpoints {
  readonly localAddr: string;
  readonly remoteAddr: string;
}

/** The usual reason: we close, and the dialler may try again later. */
export function leaveLater(code: string, text: string): LeaveReason {
  return { code, text, retry: 'later', byUs: true };
}

export function leaveForError(error: unknown): LeaveReason {
  return leaveLater(errorCode(error), errorText(error));
}

/** What was being waited for when a deadline passed. */
export type AwaitedInput = 'protocol header' | 'introduction' | 'admission' | 'message';

export function timedOut(ends: Endpoints, awaited: AwaitedInput): LeaveReason {
  return leaveLater(
    `${awaited.replace(' ', '-')}-timeout`,
    `read tcp ${ends.localAddr}->${ends.remoteAddr}: i/o timeout (no ${awaited} in time)`,
  );
}

const SOCKET_ERROR_TEXTS: Readonly<Record<string, string>> = {
  ECONNRESET: 'read: connection reset by peer',
  EPIPE: 'write: broken pipe',
  ETIMEDOUT: 'read: connection timed out',
  EHOSTUNREACH: 'read: no route to host',
  ENETUNREACH: 'read: network is unreachable',
};

/** How far the session was when the socket closed; tells what a refusal may mean. */
export type SessionPhase = 'header' | 'introducing' | 'unanswered' | 'running';

const HINTS: Readonly<Record<SessionPhase, string>> = {
  header: ' (closed before the protocol header: is it a Weave router?)',
  introducing: ' (refused while introducing ourselves: a password on one end only?)',
  unanswered: ' (refused after the introduction: its connection limit, or no overlay in common?)',
  running: '',
};

/**
 * The socket was closed under us.
 * @param error null for an orderly end
 */
export function socketClosed(
  ends: Endpoints,
  error: Error | null,
  phase: SessionPhase,
): LeaveReason {
  const code = error === null ? 'closed-by-peer' : `socket-${errorCode(error).toLowerCase()}`;
  const cause = error === null ? 'EOF' : (SOCKET_ERROR_TEXTS[errorCode(error)] ?? error.message);
  return {
    code: phase === 'header' || phase === 'introducing' ? 'closed-during-introduction' : code,
    text: `read tcp ${ends.localAddr}->${ends.remoteAddr}: ${cause}${HINTS[phase]}`,
    retry: 'later',
    byUs: false,
  };
}
