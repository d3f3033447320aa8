import { ConclaveError, asError } from '../../../errors/index.ts'
import { errnoOf } from '../../../election/files.ts'
import type { Lock } from '../../../platform/index.ts'
import type { Connection, Listener } from '../../../transport/index.ts'
import { throwIfAborted } from '../../shared/abort.ts'
import { inUse, listenAt, privateDirectory, type Place } from '../../shared/place.ts'
import { placeOf, type Internals, type PlaceOptions } from '../../shared/uids.ts'
import { BACKLOG } from '../limits.ts'
import { connect } from '../sender-link.ts'
import { factFromWire, factToWire, type Fact, type FactStore } from './facts.ts'
import * as limits from './limits.ts'
import { BOTH_WAYS, newNonce, newPeerId, pack, proofOf, sameProof, TRUST, type Trust } from './protocol.ts'
import { Talk, type SwarmLine } from './talk.ts'

export interface SwarmOptions extends PlaceOptions {
  /** The state directory: the socket is `swarm.sock` in it. */
  readonly directory: string
  readonly store: FactStore
  /** What others call us by. Default: the host's name is not told; `conclave`. */
  readonly node?: string | undefined
  /** Default: random. */
  readonly peerId?: string | undefined
  /** Only peers with the same hash exchange facts. Default: the constant of the existing build. */
  readonly genomeHash?: string | undefined
  /** Only peers that know it exchange facts; existing ones do not. Default: every process of our user may. */
  readonly secret?: string | undefined
  /** False: nothing is sent that an existing peer would not send. Default true. */
  readonly extensions?: boolean | undefined
  readonly timeoutMs?: number | undefined
  readonly dialTimeoutMs?: number | undefined
  readonly maxLineBytes?: number | undefined
  readonly maxConnections?: number | undefined
  /** A conversation that failed at the listener. */
  readonly onError?: ((error: Error) => void) | undefined
  /** A conversation that ended well at the listener. */
  readonly onSync?: ((result: SyncResult) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

export interface SwarmPeer {
  /** `undefined`: an existing listener says our own id back instead of its own (weak point 7 of SEEDS 5.3). */
  readonly id: string | undefined
  readonly node: string
  readonly trust: Trust
  readonly lastSeen: Date
}

export interface SyncResult {
  readonly synced: boolean
  /** Why not. */
  readonly reason?: 'no-listener' | 'mismatch' | 'unproven' | undefined
  readonly peer?: SwarmPeer | undefined
  /** Facts that were sent. To an existing listener: written; it answers nothing. */
  readonly sent: number
  /** Facts of the peer that were new here. */
  readonly merged: number
  /** Ids of facts that no line can hold for this peer. */
  readonly tooLarge: readonly string[]
}

/** The first one in a directory listens, the others dial and sync once. @throws as `listen` and `dial` */
export async function openSwarm(options: SwarmOptions, internals: Internals = {}): Promise<SwarmTransport> {
  const swarm = new SwarmTransport(options, placeOf(options, internals))
  try {
    await swarm.listen()
  } catch (error) {
    if (!ConclaveError.is(error, 'SOCKET_IN_USE')) throw error
    await swarm.dial()
  }
  return swarm
}

/** Peers of one state directory that share facts. */
export class SwarmTransport implements AsyncDisposable {
  readonly peerId: string
  readonly path: string
  readonly #options: SwarmOptions
  readonly #place: Place
  readonly #genomeHash: string
  readonly #peers = new Map<string, SwarmPeer>()
  readonly #talks = new Set<Talk>()
  readonly #stop = new AbortController()
  #lock: Lock | undefined
  #listener: Listener | undefined
  #refused = 0
  #lastSync: SyncResult | undefined

  /** Use `openSwarm`. */
  constructor(options: SwarmOptions, place: Place) {
    if (!options.directory.startsWith('/')) {
      throw new ConclaveError('INVALID_OPTION', `"${options.directory}" is no absolute path.`)
    }
    this.#options = options
    this.#place = place
    this.#genomeHash = options.genomeHash ?? limits.GENOME_HASH
    this.peerId = options.peerId ?? newPeerId()
    this.path = `${options.directory}/swarm.sock`
    options.signal?.addEventListener('abort', this.#onAbort)
  }

  get isListening(): boolean {
    return this.#listener !== undefined
  }

  /** Connections of users who are not on the list, or over the limit. */
  get refused(): number {
    return this.#refused
  }

  /** What came of the last conversation, on either side. */
  get lastSync(): SyncResult | undefined {
    return this.#lastSync
  }

  peers(): readonly SwarmPeer[] {
    return [...this.#peers.values()]
  }

  /** @throws `SOCKET_IN_USE`, `PATH_TOO_LONG`, `FOREIGN_WORKSPACE`, `UNSAFE_WORKSPACE`, `CLOSED` */
  async listen(): Promise<void> {
    this.#checkOpen()
    if (this.#listener !== undefined) return
    privateDirectory(this.#place.platform, this.#options.directory)
    const lock = this.#place.platform.tryLock(`${this.path}.lock`)
    if (lock === undefined) throw inUse(this.path)
    try {
      this.#listener = listenAt(this.#place, this.path, {
        backlog: BACKLOG,
        onConnection: (connection) => this.#accepted(connection),
        onError: (error) => {
          if (ConclaveError.is(error, 'FORBIDDEN')) this.#refused++
          this.#options.onError?.(error)
        },
      })
      this.#lock = lock
    } catch (error) {
      lock.close()
      throw error
    }
  }

  /**
   * Sends our facts to the listener and takes its own. No listener is no error, as with the existing peers.
   * @throws `FORBIDDEN`, `TIMEOUT`, `ABORTED`, `PROTOCOL`, `DISCONNECTED`, `CLOSED`, and what the store throws
   */
  async dial(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<SyncResult> {
    this.#checkOpen()
    throwIfAborted(options.signal)
    const facts = await this.#options.store.facts()
    let result = await this.#converse(facts, options.signal)
    // An existing listener takes one short payload a conversation: the rest follows in further ones.
    while (result.rest.length > 0 && result.synced) {
      const next = await this.#converse(result.rest, options.signal)
      result = {
        ...next,
        sent: result.sent + next.sent,
        merged: result.merged + next.merged,
        tooLarge: [...new Set([...result.tooLarge, ...next.tooLarge])],
      }
    }
    const { rest: _, ...outcome } = result
    this.#lastSync = outcome
    return outcome
  }

  async close(): Promise<void> {
    this.#options.signal?.removeEventListener('abort', this.#onAbort)
    this.#stop.abort()
    this.#listener?.close()
    this.#listener = undefined
    const talks = [...this.#talks]
    for (const talk of talks) talk.close()
    await Promise.all(talks.map((talk) => talk.closed))
    this.#lock?.close()
    this.#lock = undefined
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  readonly #onAbort = (): void => void this.close()

  #checkOpen(): void {
    if (this.#stop.signal.aborted) throw new ConclaveError('CLOSED', 'The swarm is closed.')
  }

  get #maxLineBytes(): number {
    return this.#options.maxLineBytes ?? limits.MAX_SWARM_LINE_BYTES
  }

  /** Everything in a conversation has one deadline. */
  async #limited<T>(
    talk: Talk,
    signal: AbortSignal | undefined,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const timeoutMs = this.#options.timeoutMs ?? limits.SYNC_TIMEOUT_MS
    const time = new AbortController()
    // A turn later: what came while this process was busy is read before the timer counts (rule B1).
    const timer = setTimeout(() => setImmediate(() => time.abort()), timeoutMs).unref()
    const stop = AbortSignal.any([time.signal, this.#stop.signal, ...(signal === undefined ? [] : [signal])])
    this.#talks.add(talk)
    try {
      return await work(stop)
    } catch (error) {
      if (time.signal.aborted && ConclaveError.is(error, 'ABORTED')) {
        throw new ConclaveError('TIMEOUT', `The peer at ${this.path} did not finish within ${timeoutMs} ms.`)
      }
      throw error
    } finally {
      clearTimeout(timer)
      talk.end()
      void talk.closed.then(() => this.#talks.delete(talk))
    }
  }

  async #converse(
    facts: readonly Fact[],
    signal: AbortSignal | undefined,
  ): Promise<SyncResult & { readonly rest: readonly Fact[] }> {
    const nothing = { synced: false, sent: 0, merged: 0, tooLarge: [], rest: [] }
    let connection: Connection
    try {
      const { dialTimeoutMs = limits.SWARM_DIAL_TIMEOUT_MS } = this.#options
      connection = await connect(this.#place, this.path, dialTimeoutMs, signal)
    } catch (error) {
      const errno = errnoOf(error)
      if (errno === 'ENOENT' || errno === 'ECONNREFUSED') return { ...nothing, reason: 'no-listener' }
      throw error
    }
    const talk = new Talk(connection, this.#maxLineBytes)
    return this.#limited(talk, signal, async (stop) => {
      const { secret, extensions = true } = this.#options
      const nonce = secret === undefined ? '' : newNonce()
      talk.send('handshake', {
        from_peer_id: this.peerId,
        from_node: this.#node,
        genome_hash: this.#genomeHash,
        timestamp: seconds(),
        nonce,
        ...(extensions ? { extensions: [BOTH_WAYS] } : {}),
      })
      const { payload: ack } = expect(await talk.next(stop), 'handshake_ack')
      const theirNonce = textOf(ack['nonce'])
      const proven = secret === undefined || sameProof(ack['proof'], proofOf(secret, 'listener', nonce, theirNonce))
      const matches = ack['match'] === true && ack['genome_hash'] === this.#genomeHash
      const said = textOf(ack['to_peer_id'])
      const peer = this.#met(said === this.peerId ? undefined : said, textOf(ack['to_node']), matches && proven)
      if (!matches || !proven) return { ...nothing, peer, reason: matches ? 'unproven' : 'mismatch' }

      const bothWays = extensions && listOf(ack['extensions']).includes(BOTH_WAYS)
      const proof = secret === undefined ? {} : { proof: proofOf(secret, 'dialer', nonce, theirNonce) }
      const { parts, tooLarge } = pack(
        facts,
        bothWays ? this.#maxLineBytes : Math.min(limits.EXISTING_LINE_BYTES, this.#maxLineBytes),
      )
      const now = bothWays ? parts : parts.slice(0, 1)
      for (const [at, part] of now.entries())
        this.#sendPayload(talk, part, { ...proof, ...(bothWays ? { last: at === now.length - 1 } : {}) })
      const received = bothWays ? await this.#receive(talk, stop, undefined) : { ids: new Set<string>(), merged: 0 }
      return {
        synced: true,
        peer,
        sent: now.flat().length,
        merged: received.merged,
        tooLarge: tooLarge.map(({ id }) => id),
        rest: bothWays ? [] : parts.slice(1).flat(),
      }
    })
  }

  #accepted(connection: Connection): void {
    if (this.#talks.size >= (this.#options.maxConnections ?? limits.MAX_SWARM_CONNECTIONS)) {
      this.#refused++
      connection.close()
      return
    }
    const talk = new Talk(connection, this.#maxLineBytes)
    this.#limited(talk, undefined, (stop) => this.#serve(talk, stop)).then(
      (result) => {
        if (result === undefined) return
        this.#lastSync = result
        this.#options.onSync?.(result)
      },
      (error: unknown) => {
        talk.close()
        if (!this.#stop.signal.aborted) this.#options.onError?.(asError(error))
      },
    )
  }

  /** @returns `undefined` for somebody who left before saying anything */
  async #serve(talk: Talk, stop: AbortSignal): Promise<SyncResult | undefined> {
    const first = await talk.next(stop)
    if (first === undefined) return undefined
    const { payload: hello } = expect(first, 'handshake')
    const { secret, extensions = true } = this.#options
    const theirNonce = textOf(hello['nonce'])
    const match = hello['genome_hash'] === this.#genomeHash && (secret === undefined || theirNonce !== '')
    const bothWays = extensions && listOf(hello['extensions']).includes(BOTH_WAYS)
    const nonce = secret === undefined ? '' : newNonce()
    talk.send('handshake_ack', {
      // Ours, not what the dialer said: that is how it learns who we are.
      to_peer_id: this.peerId,
      to_node: this.#node,
      genome_hash: this.#genomeHash,
      match,
      trust: match ? TRUST.verified : TRUST.rejected,
      timestamp: seconds(),
      ...(secret === undefined ? {} : { nonce, proof: proofOf(secret, 'listener', theirNonce, nonce) }),
      ...(bothWays ? { extensions: [BOTH_WAYS] } : {}),
    })
    const id = textOf(hello['from_peer_id'])
    const node = textOf(hello['from_node'])
    const result = { synced: false, sent: 0, merged: 0, tooLarge: [] }
    if (!match) return { ...result, reason: 'mismatch', peer: this.#met(id, node, false) }
    const proof = secret === undefined ? undefined : proofOf(secret, 'dialer', theirNonce, nonce)
    const { ids, merged } = await this.#receive(talk, stop, proof, !bothWays)
    const peer = this.#met(id, node, true)
    if (!bothWays) return { ...result, synced: true, peer, merged }
    const own = (await this.#options.store.facts()).filter((fact) => !ids.has(fact.id))
    const { parts, tooLarge } = pack(own, this.#maxLineBytes)
    for (const [at, part] of parts.entries()) this.#sendPayload(talk, part, { last: at === parts.length - 1 })
    return { synced: true, peer, sent: parts.flat().length, merged, tooLarge: tooLarge.map((fact) => fact.id) }
  }

  #sendPayload(talk: Talk, facts: readonly Fact[], own: object): void {
    talk.send('sync_payload', {
      from_peer_id: this.peerId,
      genome_hash: this.#genomeHash,
      facts: facts.length === 0 ? null : facts.map(factToWire),
      synced_at: new Date().toISOString(),
      ...own,
    })
  }

  /** Payloads, up to the last one. @param proof what each must carry @param single an existing dialer sends one */
  async #receive(
    talk: Talk,
    stop: AbortSignal,
    proof: string | undefined,
    single = false,
  ): Promise<{ readonly ids: ReadonlySet<string>; readonly merged: number }> {
    const ids = new Set<string>()
    let merged = 0
    for (;;) {
      const { payload } = expect(await talk.next(stop), 'sync_payload')
      if (payload['genome_hash'] !== this.#genomeHash || (proof !== undefined && !sameProof(payload['proof'], proof))) {
        throw new ConclaveError('FORBIDDEN', 'A peer sent facts without the proof that it belongs to this swarm.')
      }
      const facts = listOf(payload['facts']).map(factFromWire)
      for (const { id } of facts) ids.add(id)
      merged += await this.#options.store.merge(facts.map(fromSwarm))
      if (single || payload['last'] !== false) return { ids, merged }
    }
  }

  #met(id: string | undefined, node: string, verified: boolean): SwarmPeer {
    const peer: SwarmPeer = { id, node, trust: verified ? 'verified' : 'rejected', lastSeen: new Date() }
    const key = id ?? `node:${node}`
    this.#peers.delete(key)
    this.#peers.set(key, peer)
    const [oldest] = this.#peers.keys()
    if (this.#peers.size > limits.MAX_SWARM_PEERS && oldest !== undefined) this.#peers.delete(oldest)
    return peer
  }

  get #node(): string {
    return this.#options.node ?? 'conclave'
  }
}

/** A fact keeps one `swarm:`, however often it travels. */
function fromSwarm(fact: Fact): Fact {
  return fact.source.startsWith('swarm:') ? fact : { ...fact, source: `swarm:${fact.source}` }
}

function expect(line: SwarmLine | undefined, type: string): SwarmLine {
  if (line?.type === type) return line
  if (line === undefined) {
    throw new ConclaveError('DISCONNECTED', `The peer hung up where ${type} was due.`, { data: { errno: 'EOF' } })
  }
  throw new ConclaveError('PROTOCOL', `The peer sent ${line.type} where ${type} was due.`)
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

function seconds(): number {
  return Math.floor(Date.now() / 1000)
}
