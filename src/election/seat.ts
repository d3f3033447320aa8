import { ConclaveError } from '../errors/index.ts'
import type { Lock } from '../platform/platform.ts'
import {
  announcementRecord,
  isLabel,
  isRange,
  readAnnouncement,
  removeAnnouncement,
  writeAnnouncement,
  type AnnouncedState,
  type Announcement,
  type AnnouncementRecord,
  type ProtocolRange,
} from './announcement.ts'
import { endpointPath, formatEndpoint, isEndpoint, newEndpointPath } from './endpoint.ts'
import { isInstance } from './instance.ts'
import { CHECKS_PER_ENDPOINT_CHECK, LOCK_CHECK_MS, MAX_LABEL_LENGTH, MAX_NAME_LENGTH } from './limits.ts'
import { guarded } from './refused.ts'
import { removeReplaced, removeUnfinished } from './sweep.ts'
import { nextTerm, readTerm, termPath, writeTerm } from './term.ts'
import type { Workspace } from './workspace.ts'

export interface SeatOptions {
  /** The member id of who takes it: `newInstance()`. */
  readonly instance: string
  /** No control characters, at most `MAX_NAME_LENGTH`. */
  readonly name: string
  readonly protocol: ProtocolRange
  /** Terms that other records show (a database, a durable log, what this member saw before): the new one is higher (A1, B8). 0: none. */
  readonly records?: readonly number[] | undefined
  /** Default: of this process, asked anew each time, so that a forked child finds out (C11). */
  readonly pid?: (() => number) | undefined
}

export interface SeatWatch {
  /** Once: the lock is no longer the workspace's. Step down without commit or reply (A1). */
  readonly onLost: (error: ConclaveError) => void
  /** The socket's path is gone. Bind `seat.renewEndpoint()` and call `seat.announce()`: same term, fresh name (B6). */
  readonly onEndpointVanished: () => void
  /** Something failed that nobody waits for: the announcement could not be restored (the next check tries again), changed or removed. */
  readonly onWarning?: ((error: unknown) => void) | undefined
}

/**
 * The primary's place: the held lock, its term, its announcement. All calls are synchronous.
 * Order of a primary's life: `takeSeat` (starting) - open the database, `raiseAbove` its term - bind `endpointPath` -
 * `announce` (serving) - `watch` - `closing` - close the listener - `release` - close the links (A9, A13).
 */
export class Seat {
  readonly workspace: Workspace
  readonly #lock: Lock
  readonly #pid: () => number
  readonly #ownPid: number
  readonly #replaced: AnnouncementRecord
  #announcement: Announcement
  #timer: NodeJS.Timeout | undefined
  #onWarning: SeatWatch['onWarning']
  #released = false
  #synced: Promise<unknown> = Promise.resolve()

  /** Use `takeSeat`. */
  constructor(
    workspace: Workspace,
    lock: Lock,
    pid: () => number,
    announcement: Announcement,
    replaced: AnnouncementRecord,
  ) {
    this.#replaced = replaced
    this.workspace = workspace
    this.#lock = lock
    this.#pid = pid
    this.#ownPid = announcement.pid
    this.#announcement = announcement
  }

  get term(): number {
    return this.#announcement.term
  }

  /** The last term before this one that was served; 0 for none, or when no record tells. */
  get follows(): number {
    return this.#announcement.follows ?? 0
  }

  /** Whether there was a primary before, so that its members may be on their way. */
  get succeeds(): boolean {
    return this.#replaced.type !== 'absent'
  }

  /** `dev:ino` of the lock: the workspace's identity, compared in each handshake (B3). */
  get identity(): string {
    return this.#lock.identity
  }

  get state(): AnnouncedState | 'released' {
    return this.#released ? 'released' : this.#announcement.state
  }

  get announcement(): Announcement {
    return this.#announcement
  }

  /** Where to listen. Announced before it is bound, so that whoever comes after a crash finds and removes it. */
  get endpointPath(): string {
    return endpointPath(this.#announcement.endpoint)
  }

  /** Resolves when the fsync of the term that `announce` began is over; with its error if it failed. Never rejects. */
  get synced(): Promise<unknown> {
    return this.#synced
  }

  /**
   * Whether this is still the seat: not released, the lock's path names the locked file, and we are the process that
   * took it (A1, C11). About a microsecond; ask before each commit and each handshake reply.
   */
  check(): boolean {
    return !this.#released && this.#isOwnProcess() && this.#lock.stillOurs()
  }

  /**
   * Raises the term above one that was found after the seat was taken, as in a database just opened. Only while `starting`.
   * @throws `LOCK_LOST`, `WORKSPACE_READ_ONLY`, `INTERNAL` when serving began or the system refuses
   */
  raiseAbove(record: number): void {
    this.#mustBe('starting')
    if (record < this.term) return
    const { platform } = this.workspace
    const term = guarded('write', termPath(this.workspace), () => {
      const raised = nextTerm({ file: readTerm(this.workspace), boot: platform.bootId, records: [record] })
      writeTerm(this.workspace, raised)
      return raised
    })
    this.#write({ term })
  }

  /**
   * Says that it serves, at `endpointPath` or at another path of our form. From now on members connect. The fsync of the
   * term begins here and is waited for by nobody (B8).
   * @throws `LOCK_LOST`, `WORKSPACE_READ_ONLY`, `INTERNAL` when closing began or the system refuses
   */
  announce(at: string = this.endpointPath): void {
    this.#mustBe('starting', 'serving')
    const endpoint = formatEndpoint(this.workspace.platform, at)
    if (!isEndpoint(endpoint)) throw new ConclaveError('INTERNAL', `${at} is not an endpoint of our form.`)
    const first = this.#announcement.state === 'starting'
    this.#write({ state: 'serving', endpoint })
    if (first) this.#synced = this.#sync()
  }

  /** A fresh path to listen at in the same term. Followed by `announce()`; until then the announcement keeps the old one. */
  renewEndpoint(): string {
    this.#mustBe('starting', 'serving')
    const { platform } = this.workspace
    const at = guarded('write', this.workspace.directory, () => newEndpointPath(platform))
    this.#announcement = { ...this.#announcement, endpoint: formatEndpoint(platform, at) }
    return at
  }

  /**
   * Says that it takes nothing new (A13). Idempotent; says nothing when the lock is lost. Never throws: whoever reads the
   * old announcement is told by the primary itself.
   */
  closing(): void {
    if (!this.check() || this.#announcement.state === 'closing') return
    this.#try(() => this.#write({ state: 'closing' }))
  }

  /**
   * Gives the seat up: stops watching, removes what it announced, closes the lock. Idempotent. Call it after the listener
   * was closed and before the links are.
   * `successorExpected`: members that stand are linked; the announcement stays, as `closing`, so that whoever looks in
   * the milliseconds between knows that somebody comes. Default: it is removed, and observers see nobody at once.
   * A seat that never served puts back the announcement that it replaced, as if it had not been taken.
   * A lost lock is closed and nothing else is touched: the files are the successor's. In a forked child, nothing is (C11).
   * Never throws: files that cannot be removed are the next primary's, and the lock is closed in any case.
   */
  release(options: { readonly successorExpected?: boolean | undefined } = {}): void {
    if (this.#released) return
    const ours = this.check()
    this.#released = true
    clearInterval(this.#timer)
    if (!this.#isOwnProcess()) return
    if (ours) this.#leave(options.successorExpected === true)
    this.#lock.close()
  }

  /** Looks after the lock each second, and after socket and announcement every ten, once serving. The timer keeps no process alive. */
  watch(on: SeatWatch): void {
    if (this.#released || this.#timer !== undefined) throw new ConclaveError('INTERNAL', 'A seat is watched once.')
    this.#onWarning = on.onWarning
    let checks = 0
    this.#timer = setInterval(() => {
      if (!this.check()) {
        clearInterval(this.#timer)
        on.onLost(this.#lost())
      } else if (++checks % CHECKS_PER_ENDPOINT_CHECK === 0 && this.#announcement.state === 'serving') {
        this.#lookAfterFiles(on)
      }
    }, LOCK_CHECK_MS)
    this.#timer.unref()
  }

  #lookAfterFiles(on: SeatWatch): void {
    const { platform } = this.workspace
    this.#try(() => {
      if (platform.stat(this.endpointPath) === undefined) return on.onEndpointVanished()
      const record = readAnnouncement(this.workspace)
      const { instance, endpoint } = this.#announcement
      const { announcement } = record.type === 'announcement' ? record : { announcement: undefined }
      // It may name an older socket of ours: when the fresh one was bound, the disk was full.
      if (announcement?.instance !== instance || announcement.endpoint !== endpoint) this.#write({})
    })
  }

  #leave(successorExpected: boolean): void {
    const { platform } = this.workspace
    this.#try(() => platform.remove(this.endpointPath))
    this.#try(() => {
      const replaced = this.#replaced
      if (this.#announcement.state === 'starting' && replaced.type === 'announcement') {
        writeAnnouncement(this.workspace, replaced.announcement)
      } else if (successorExpected) this.#write({ state: 'closing' })
      else removeAnnouncement(this.workspace)
    })
  }

  #try(act: () => void): void {
    try {
      guarded('write', this.workspace.directory, act)
    } catch (error) {
      this.#onWarning?.(error)
    }
  }

  /** The file first: what it says holds only once it is written. */
  #write(change: Partial<Announcement>): void {
    const announcement = { ...this.#announcement, ...change }
    guarded('write', this.workspace.directory, () => writeAnnouncement(this.workspace, announcement))
    this.#announcement = announcement
  }

  #mustBe(...states: readonly AnnouncedState[]): void {
    if (!this.check()) throw this.#lost()
    if (!states.includes(this.#announcement.state)) {
      throw new ConclaveError('INTERNAL', `The seat is ${this.#announcement.state}, not ${states.join(' or ')}.`)
    }
  }

  #isOwnProcess(): boolean {
    return this.#pid() === this.#ownPid
  }

  #lost(): ConclaveError {
    const { label, lockPath } = this.workspace
    const why = this.#released
      ? 'The seat was given up'
      : this.#isOwnProcess()
        ? `${lockPath} was deleted, moved or replaced while this process held it`
        : 'This is a forked copy of the process that holds it'
    return new ConclaveError('LOCK_LOST', `No longer primary of ${label}: ${why}.`)
  }

  async #sync(): Promise<unknown> {
    try {
      return await this.workspace.platform.syncFile(termPath(this.workspace))
    } catch (error) {
      return error
    } finally {
      if (this.check()) removeUnfinished(this.workspace)
    }
  }
}

/**
 * For the holder of the lock: raises the term above every record, removes the socket of the announcement it replaces
 * (B5), and announces itself as `starting`. No await and no fsync inside.
 * When it throws, the lock is still the caller's to close.
 * @throws `LOCK_LOST`, `INVALID_OPTION`, `UNSAFE_WORKSPACE` (no term left), `PATH_TOO_LONG`, `WORKSPACE_READ_ONLY`, and
 * `INTERNAL` for what else the system refuses
 */
export function takeSeat(workspace: Workspace, lock: Lock, options: SeatOptions): Seat {
  return guarded('write', workspace.directory, () => takePlace(workspace, lock, options))
}

function takePlace(workspace: Workspace, lock: Lock, options: SeatOptions): Seat {
  const { instance, name, protocol, records = [], pid = () => process.pid } = options
  const { platform } = workspace
  if (!isInstance(instance)) throw new ConclaveError('INTERNAL', `${instance} is not a member id.`)
  if (!isLabel(name, MAX_NAME_LENGTH)) {
    const text = `A member's name has at most ${MAX_NAME_LENGTH} characters and no control characters.`
    throw new ConclaveError('INVALID_OPTION', text)
  }
  if (!isRange(protocol)) throw new ConclaveError('INTERNAL', 'The protocol range is not [min, max].')
  if (!lock.stillOurs()) {
    throw new ConclaveError('LOCK_LOST', `${workspace.lockPath} was deleted, moved or replaced while it was taken.`)
  }
  const endpoint = formatEndpoint(platform, newEndpointPath(platform))
  const replaced = announcementRecord(workspace)
  const term = nextTerm({ file: readTerm(workspace), boot: platform.bootId, ...evidence(replaced, records) })
  writeTerm(workspace, term)
  if (replaced.type === 'announcement' && replaced.announcement.lock === lock.identity) {
    removeReplaced(platform, replaced.announcement.endpoint)
  }
  const announcement: Announcement = {
    state: 'starting',
    instance,
    name,
    pid: pid(),
    term,
    ...followed(replaced),
    started_at: new Date().toISOString(),
    endpoint,
    protocol,
    host: printable(platform.hostName),
    ...(platform.bootId === undefined ? {} : { boot: platform.bootId }),
    lock: lock.identity,
  }
  writeAnnouncement(workspace, announcement)
  return new Seat(workspace, lock, pid, announcement, replaced)
}

/** A term that was announced as starting, and never served, is skipped. */
function followed(replaced: AnnouncementRecord): { follows?: number } {
  if (replaced.type !== 'announcement') return {}
  const { state, term, follows } = replaced.announcement
  const served = state === 'starting' ? follows : term
  return served === undefined ? {} : { follows: served }
}

/** Its term counts whatever lock it names: after the lock file was deleted, this may be the last record there is. */
function evidence(replaced: AnnouncementRecord, records: readonly number[]): { records: number[]; traces: boolean } {
  return replaced.type === 'announcement'
    ? { records: [...records, replaced.announcement.term], traces: true }
    : { records: [...records], traces: replaced.type === 'damaged' }
}

function printable(host: string): string {
  return host.replace(/[\u0000-\u001f\u007f-\u009f]/g, '').slice(0, MAX_LABEL_LENGTH) // oxlint-disable-line no-control-regex
}
