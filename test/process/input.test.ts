import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from 'node:fs'
import { join as path } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { join, type Context, type Member } from 'conclave'
import { DRAIN_MS } from '../../src/engine/local/limits.ts'
import { FLAG, KIND, TARGET } from '../../src/wire/frame.ts'
import { baseDirectory, defer, runtimeDirectory, until, workspace } from '../support/index.ts'
import { encode, frameOf, header } from '../wire/support.ts'
import { foreigner, reachable, STRANGERS } from '../security/support.ts'
import { FramePeer, hello, helloOf } from './frame-peer.ts'
import { own } from './support.ts'

interface World {
  readonly folder: string
  readonly primary: Member
  readonly hello: Readonly<Record<string, unknown>>
  peer(): FramePeer
  /** What is said must leave every other link as it was, and raise the counter. */
  unharmed(counter: string, least?: number): Promise<void>
}

async function world(t: TestContext, limits: object = {}): Promise<World> {
  const folder = workspace(t)
  const methods = {
    echo: (x: unknown) => x,
    trace: (_: unknown, { traceparent, member }: Context) => [traceparent, member.call('echo', traceparent)],
    nested: async (_: unknown, { member }: Context) => member.call('seen', undefined, { to: { name: 'second' } }),
  }
  const primary = await own(t, folder, { name: 'primary', methods, limits })
  const second = await own(t, folder, {
    name: 'second',
    methods: { seen: (_: unknown, { traceparent }: Context) => traceparent ?? null },
  })
  const events = second.subscribe('x')
  await events.ready
  return {
    folder,
    primary,
    hello: helloOf(folder),
    peer: () => new FramePeer(t, folder),
    async unharmed(counter, least = 1) {
      await until(async () => ((await primary.inspect()).counters[counter] ?? 0) >= least, `${counter} to rise`)
      await until(async () => (await primary.inspect()).links.length === 2, 'the link to be gone')
      assert.equal(await second.call('echo', 1), 1)
      const seq = await primary.publish('x', 1)
      const event = (await events.next()).value
      assert.deepEqual([event?.seq, event?.missed], [seq, 0])
      assert.deepEqual([primary.role, primary.term, second.role], ['primary', 1, 'secondary'])
    },
  }
}

describe('bad input at the door', () => {
  test('C5: a peer that connects and says nothing is let go, and counted', async (t) => {
    const { peer, unharmed } = await world(t, { handshakeTimeoutMs: 300 })
    const [one, two] = [peer(), peer()]
    two.socket.write(encode(frameOf(hello({}))).subarray(0, 20))
    await Promise.all([one.gone(), two.gone()])
    await unharmed('door.silent', 2)
  })

  test('C5: of many strangers the oldest yields; members are not touched', async (t) => {
    const { peer, primary, unharmed } = await world(t, { handshakeTimeoutMs: 60_000 })
    const strangers = Array.from({ length: 80 }, peer)
    await until(async () => (await primary.inspect()).counters['door.crowded']! > 0, 'some to be pushed out')
    for (const each of strangers) each.socket.destroy()
    await unharmed('door.crowded')
  })

  test('garbage', async (t) => {
    const { peer, unharmed } = await world(t)
    for (const bytes of ['GET / HTTP/1.1\r\n\r\n', '\0\0\0\0', '\x81\x81', 'SSH-2.0-x\r\n']) {
      const one = peer()
      one.socket.write(Buffer.from(bytes, 'latin1'))
      await one.gone()
    }
    await unharmed('door.garbage', 4)
  })

  const refused: Record<string, readonly [body: object, code: string]> = {
    'a version to come': [{ protocol: [2, 3] }, 'VERSION_MISMATCH'],
    'a version long gone': [{ protocol: [0, 0] }, 'VERSION_MISMATCH'],
    'no version': [{ protocol: 'x' }, 'PROTOCOL'],
    'another workspace': [{ workspace: '1:1' }, 'WORKSPACE_MOVED'],
    'no workspace': [{ workspace: 7 }, 'PROTOCOL'],
    'a later term': [{ term: 99 }, 'STALE_TERM'],
    'a bad id': [{ id: '../x' }, 'PROTOCOL'],
    'a name that is none': [{ name: 'a\u0000b' }, 'PROTOCOL'],
  }
  for (const [what, [body, code]] of Object.entries(refused)) {
    test(`a HELLO of ${what} is refused with ${code}`, async (t) => {
      const { peer, unharmed, hello: good } = await world(t)
      const one = peer()
      one.send(hello({ ...good, ...body }))
      const refusal = JSON.parse((await one.next(KIND.REFUSE)).text) as { data: { code: string } }
      assert.equal(refusal.data.code, code)
      await one.gone()
      await unharmed('links.refused')
    })
  }

  test('a frame before HELLO, a HELLO that is no JSON', async (t) => {
    const { peer, unharmed } = await world(t)
    const [one, two] = [peer(), peer()]
    one.send({ kind: KIND.HELLO, body: 'nonsense' })
    two.send({ kind: KIND.HELLO, body: '[]' })
    await Promise.all([one.gone(), two.gone()])
    await unharmed('links.refused', 2)
  })
})

describe('bad input of a member', () => {
  async function welcomed(world: World): Promise<FramePeer> {
    const one = world.peer()
    one.send(hello(world.hello))
    await one.next(KIND.WELCOME)
    return one
  }

  test('answers to calls nobody made are counted, and nothing else', async (t) => {
    const here = await world(t)
    const one = await welcomed(here)
    for (const kind of [KIND.RESPONSE, KIND.FAILURE, KIND.ITEM]) one.send({ kind, a: 1, number: 4711, body: '1' })
    one.send(
      { kind: KIND.RESPONSE, a: 99, number: 1, body: '1' },
      { kind: KIND.CANCEL, number: 7 },
      { kind: KIND.CREDIT, number: 7, b: 9 },
    )
    one.send({ kind: KIND.PING, number: 5 })
    assert.equal((await one.next(KIND.PONG)).number, 5, 'the link lives')
    one.socket.destroy()
    await here.unharmed('calls.unknownReplies', 4)
  })

  test('a handler’s own calls carry the traceparent of the call it serves', async (t) => {
    const here = await world(t)
    const one = await welcomed(here)
    const trace = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    one.send({ kind: KIND.REQUEST, b: 1, c: TARGET.DEFAULT, number: 1, time: Infinity, name: `nested\0\0${trace}` })
    assert.equal((await one.next(KIND.RESPONSE)).text, JSON.stringify(trace))
    one.socket.destroy()
    await here.unharmed('calls.relayed')
  })

  const faults: Record<string, (one: FramePeer) => void> = {
    'a kind that does not exist': (one) => one.socket.write(header({ kind: 0xbf })),
    'a kind that members do not send': (one) => one.send({ kind: KIND.WELCOME, body: '{}' }),
    'text in the middle of frames': (one) => one.socket.write('{"jsonrpc":"2.0"}\n'),
    'a name that is too long': (one) => one.socket.write(header({ kind: KIND.REQUEST, name: 5000 })),
    'a body that is too long': (one) => one.socket.write(header({ kind: KIND.REQUEST, body: 2 ** 31 })),
    'a chunk of no transfer': (one) => one.send({ kind: KIND.CHUNK, transfer: 9, body: 'x' }),
  }
  for (const [what, send] of Object.entries(faults)) {
    test(`${what} ends its link alone`, async (t) => {
      const here = await world(t)
      const one = await welcomed(here)
      send(one)
      await one.gone()
      await here.unharmed('links.faults')
    })
  }

  test('params that are no JSON are INVALID_PARAMS for their caller', async (t) => {
    const here = await world(t)
    const one = await welcomed(here)
    one.send({ kind: KIND.REQUEST, b: 1, c: TARGET.DEFAULT, number: 1, time: Infinity, name: 'echo', body: '{' })
    const error = JSON.parse((await one.next(KIND.FAILURE)).text) as { data: { code: string } }
    assert.equal(error.data.code, 'INVALID_PARAMS')
    one.socket.destroy()
    await here.unharmed('links.joined', 2)
  })

  test('A13: a long request that its sender gave up does not hold up the end of the primary', async (t) => {
    const here = await world(t)
    const one = await welcomed(here)
    // To be joined: the primary's own member takes bodies whole.
    one.send(
      { kind: KIND.REQUEST, flags: FLAG.MORE, transfer: 1, b: 1, number: 1, time: Infinity, name: 'echo', body: '1' },
      { kind: KIND.CHUNK, flags: FLAG.ABORTED, transfer: 1 },
      { kind: KIND.PING, number: 2 },
    )
    await one.next(KIND.PONG)
    let late = false
    const patience = setTimeout(() => (late = true), DRAIN_MS - 500)
    await here.primary.close()
    clearTimeout(patience)
    assert.equal(late, false, 'it waited to the end of its patience')
  })

  test('half a frame, then the end', async (t) => {
    const here = await world(t)
    const one = await welcomed(here)
    one.socket.end(encode(frameOf({ kind: KIND.PUBLISH, number: 1, name: 'x', body: '"half"' })).subarray(0, 45))
    await one.gone()
    await here.unharmed('links.joined', 2)
  })
})

describe('bad folders', () => {
  test('B4: a .conclave that came with a repository, a symlink or open to others, is refused with the cure', async (t) => {
    const folder = workspace(t)
    symlinkSync('/tmp', path(folder, '.conclave'))
    await assert.rejects(join(folder), { code: 'UNSAFE_WORKSPACE', message: /remove|delete/ })
    const open = workspace(t)
    mkdirSync(path(open, '.conclave'))
    chmodSync(path(open, '.conclave'), 0o777)
    await assert.rejects(join(open), { code: 'UNSAFE_WORKSPACE', message: /chmod 700/ })
    const file = workspace(t)
    writeFileSync(path(file, '.conclave'), '')
    await assert.rejects(join(file), { code: 'UNSAFE_WORKSPACE' })
    const locked = workspace(t)
    mkdirSync(path(locked, '.conclave'), { mode: 0o700 })
    symlinkSync('/dev/null', path(locked, '.conclave', 'lock'))
    await assert.rejects(join(locked), { code: 'UNSAFE_WORKSPACE' })
  })

  test('B4: an announcement that lies counts as absent', async (t) => {
    const folder = workspace(t)
    const first = await own(t, folder)
    await first.close()
    for (const text of ['', '{', '[]', '{"term":9007199254740992}', '\0'.repeat(5000)]) {
      writeFileSync(path(folder, '.conclave', 'primary.json'), text)
      await assert.rejects(join(folder, { primary: 'never' }), { code: 'NO_PRIMARY' })
      const member = await join(folder)
      assert.equal(member.role, 'primary')
      await member.close()
    }
  })

  test('a folder that can’t be written says so', async (t) => {
    const folder = workspace(t)
    chmodSync(folder, 0o555)
    if (process.getuid?.() !== 0) {
      await assert.rejects(join(folder), { code: 'WORKSPACE_READ_ONLY' })
      return
    }
    // Root writes everywhere, so somebody else tries.
    reachable(t, path(folder, 'x'))
    const said = await foreigner(t, STRANGERS[0]!, 'join', folder).next()
    assert.equal(said['code'], 'WORKSPACE_READ_ONLY', String(said['message']))
  })

  test('a folder that is not there, and a file', async (t) => {
    const folder = workspace(t)
    await assert.rejects(join(path(folder, 'none')), { code: 'INVALID_OPTION', message: /Create it first/ })
    writeFileSync(path(folder, 'file'), '')
    await assert.rejects(join(path(folder, 'file')), { code: 'INVALID_OPTION' })
  })

  test('a runtime directory that is too deep, a symlink, or open to others', async (t) => {
    const folder = workspace(t)
    const runtime = runtimeDirectory(t)
    const set = (value: string): void => void (process.env['XDG_RUNTIME_DIR'] = value)
    defer(t, () => set(runtime))
    const deep = path(runtime, 'x'.repeat(90))
    mkdirSync(deep, { mode: 0o700 })
    set(deep)
    await assert.rejects(join(folder), { code: 'PATH_TOO_LONG', message: /XDG_RUNTIME_DIR/ })
    const link = path(mkdtempSync(path(baseDirectory(), 'x')), 'r')
    defer(t, async () => (await import('node:fs')).rmSync(path(link, '..'), { recursive: true }))
    mkdirSync(link, { mode: 0o700 })
    symlinkSync('/tmp', path(link, 'conclave'))
    set(link)
    await assert.rejects(join(folder), (error: { code: string }) =>
      ['UNSAFE_WORKSPACE', 'FOREIGN_WORKSPACE'].includes(error.code),
    )
  })
})
