import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join as path } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import type { Member } from 'conclave'
import { newInstance, type Announcement } from '../../src/election/index.ts'
import { QUEUE_MAX_BYTES } from '../../src/events/limits.ts'
import { KIND, type Frame } from '../../src/wire/frame.ts'
import { MAX_TRANSFERS, TRANSFER_WINDOW_BYTES } from '../../src/wire/limits.ts'
import { PROTOCOL } from '../../src/wire/handshake.ts'
import { FrameReader } from '../../src/wire/reader.ts'
import { endpointOf } from '../engine/local/lines.ts'
import { own } from '../process/support.ts'
import { defer, spawnProgram, until, workspace, type Program, type Scope } from '../support/index.ts'
import { encode, frameOf } from '../wire/support.ts'

/* docs/limits.md, "Memory": what a primary holds at most, confirmed within a factor of two. */

const MIB = 2 ** 20
const LINKS = 3
const limits = {
  ringMaxBytes: 4 * MIB,
  maxHubBytes: 20 * MIB,
  maxLinkBytes: 3 * MIB,
  // Bytes are to be the bound, not counts.
  ringMaxCount: 10_000_000,
  maxQueued: 10_000_000,
}

/** What an event counts for beside its body, and what it costs beside that. */
const COUNTED_BYTES = 128
const UNCOUNTED_BYTES = 256

/** The events of the formula, for bodies of a size. */
function eventBytes(bodyBytes: number): number {
  const counted = limits.ringMaxBytes + Math.min(limits.maxHubBytes, LINKS * QUEUE_MAX_BYTES)
  return counted * (1 + UNCOUNTED_BYTES / (COUNTED_BYTES + bodyBytes))
}

/** A member that joins, subscribes and offers as asked, and then reads nothing any more. */
class StoppedPeer {
  readonly id: string = newInstance()
  readonly #socket: Socket
  readonly #frames: Frame[] = []

  constructor(t: Scope, folder: string, name: string) {
    const { lock } = JSON.parse(readFileSync(path(folder, '.conclave', 'primary.json'), 'utf8')) as Announcement
    this.#socket = connect(endpointOf(folder))
    defer(t, () => this.#socket.destroy())
    const reader = new FrameReader((frame) => this.#frames.push(frame.clone()))
    this.#socket.on('data', (bytes) => reader.push(bytes as Uint8Array, 0, bytes.length))
    const hello = { protocol: PROTOCOL, workspace: lock, id: this.id, name, pid: 1, term: 0, stands: false }
    this.#send({ kind: KIND.HELLO, body: JSON.stringify(hello) })
  }

  async stop(topic: string, method: string): Promise<void> {
    await this.#has(KIND.WELCOME)
    this.#send({ kind: KIND.SUBSCRIBE, b: 1, name: topic, body: '{}' })
    this.#send({ kind: KIND.OFFER, name: method })
    await this.#has(KIND.SUBSCRIBED)
    this.#socket.pause()
  }

  #send(frame: Parameters<typeof frameOf>[0]): void {
    this.#socket.write(encode(frameOf(frame)))
  }

  #has(kind: number): Promise<unknown> {
    return until(() => this.#frames.some((frame) => frame.kind === kind), `a frame of kind ${kind.toString(16)}`)
  }
}

async function heldBytes(program: Program): Promise<number> {
  program.send({})
  return (await program.next<{ heldBytes: number }>((message) => 'heldBytes' in message)).heldBytes
}

/** Publishes until the queues lose what they cannot hold. */
async function fillEvents(member: Member, dataBytes: number): Promise<void> {
  const data = 'x'.repeat(dataBytes)
  const batch = Math.max(20, Math.min(2000, Math.round(MIB / (dataBytes + 100))))
  for (let drops = 0; drops < batch * LINKS; { drops } = await member.inspect()) {
    for (let i = 0; i < LINKS; i++) {
      await Promise.all(Array.from({ length: batch }, () => member.publish(`t${i}`, data)))
    }
  }
}

interface Calls {
  readonly method: string
  readonly to: string
  readonly count: number
  readonly bytes: number
}

/** Calls that are never answered, until one is refused. @returns whether one was */
async function call(t: Scope, caller: Member, { method, to, count, bytes }: Calls): Promise<boolean> {
  const stop = new AbortController()
  defer(t, () => stop.abort())
  let refused = false
  const params = 'x'.repeat(bytes)
  for (let n = 0; n < count && !refused; n++) {
    const options = { to: { id: to }, timeoutMs: 120_000, signal: stop.signal }
    caller.call(method as never, params as never, options as never).catch((error: Error & { code: string }) => {
      refused ||= error.code === 'OVERLOADED'
    })
    if (n % 10 === 9) await caller.inspect()
  }
  return refused
}

async function begin(t: Scope): Promise<{ program: Program; peers: readonly StoppedPeer[]; folder: string }> {
  const folder = workspace(t)
  const file = path(import.meta.dirname, 'programs', 'primary.ts')
  const program = spawnProgram(t, file, [folder, JSON.stringify(limits)], { flags: ['--expose-gc'] })
  await program.ready()
  const peers = Array.from({ length: LINKS }, (_, i) => new StoppedPeer(t, folder, `stopped ${i}`))
  await Promise.all(peers.map((peer, i) => peer.stop(`t${i}`, `m${i}`)))
  return { program, peers, folder }
}

function confirm(t: TestContext, grownBytes: number, mostBytes: number): void {
  const text = `${(grownBytes / MIB).toFixed(1)} MiB are held where the formula says ${(mostBytes / MIB).toFixed(1)} MiB`
  t.diagnostic(text)
  assert.ok(grownBytes < 2 * mostBytes && grownBytes > mostBytes / 2, text)
}

describe('the memory of a primary whose links have stopped', () => {
  for (const bytes of [20, 1000, 50_000]) {
    test(`queues full of bodies of ${bytes} bytes: what the formula says, within a factor of two`, async (t) => {
      const { program, peers, folder } = await begin(t)
      const member = await own(t, folder, { primary: 'never' })
      const before = await heldBytes(program)
      for (const [i, { id }] of peers.entries()) {
        const calls = { method: `m${i}`, to: id, count: 300, bytes: Math.max(bytes, 30_000) }
        assert.ok(await call(t, member, calls), 'maxLinkBytes was hit')
      }
      await fillEvents(member, bytes)
      confirm(t, (await heldBytes(program)) - before, eventBytes(bytes) + LINKS * limits.maxLinkBytes)
    })
  }

  test('long requests on their way to them: a window each', async (t) => {
    const { program, peers, folder } = await begin(t)
    const callers: Member[] = []
    // Each has so many transfers at once, to one of them.
    for (let i = 0; i < LINKS; i++) callers.push(await own(t, folder, { primary: 'never' }))
    const before = await heldBytes(program)
    const count = MAX_TRANSFERS - 2
    const bytes = 2 * TRANSFER_WINDOW_BYTES
    for (const [i, caller] of callers.entries()) {
      assert.equal(await call(t, caller, { method: `m${i}`, to: peers[i]!.id, count, bytes }), false)
    }
    const most = LINKS * count * TRANSFER_WINDOW_BYTES
    await until(async () => (await heldBytes(program)) - before > most / 2, 'the windows to be full')
    confirm(t, (await heldBytes(program)) - before, most)
  })
})
