import assert from 'node:assert/strict'
import { fileURLToPath } from 'node:url'
import { test, type TestContext } from 'node:test'
import { openWorkspace } from '../../../src/election/index.ts'
import { LocalEngine } from '../../../src/engine/local/local-engine.ts'
import { posixPlatform } from '../../../src/platform/index.ts'
import { counting, EngineBench, offer } from '../../../src/testing/conformance/engine.ts'
import { unixTransport } from '../../../src/transport/index.ts'
import { defer, spawnProgram, until, within, workspace, type Program } from '../../support/index.ts'
import { collect } from './events.ts'

const bench = new EngineBench(undefined as never)

function program(t: TestContext, folder: string, what: string): Program {
  return spawnProgram(t, fileURLToPath(new URL('programs/member.ts', import.meta.url)), [folder, what])
}

async function member(t: TestContext, folder: string): Promise<LocalEngine> {
  const platform = posixPlatform()
  const engine = new LocalEngine({
    workspace: openWorkspace(platform, folder, { create: true }),
    transport: unixTransport(platform),
    name: 'test',
    pid: process.pid,
    ...{ version: 0, minVersion: 0, primary: 'may', waitMs: 0, ref: true, limits: {} },
  })
  engine.offer(offer('slow', async () => (await new Promise((resolve) => setTimeout(resolve, 300)), 'late')))
  engine.offer(offer('count', () => counting()({ params: 100 } as never)))
  defer(t, () => engine.close({ timeoutMs: 1000 }))
  await engine.join(Infinity, undefined)
  engine.open()
  return engine
}

test('a member that was closed leaves no timer, no listener, no handle', async (t) => {
  const folder = workspace(t)
  for (const role of ['primary', 'secondary']) {
    if (role === 'secondary') await member(t, folder)
    const child = program(t, folder, 'leave')
    assert.equal((await child.ready<{ role: string }>()).role, role)
    const { alive, listeners, before } = await child.next()
    assert.deepEqual(alive, [])
    assert.equal(listeners, before)
    assert.deepEqual(await child.exit, { code: 0, signal: null })
  }
})

test('ref: false: an idle member lets its process exit, as secondary and as primary with others linked', async (t) => {
  const folder = workspace(t)
  const first = program(t, folder, 'idle')
  assert.equal((await first.ready<{ role: string }>()).role, 'primary')
  assert.equal((await within(first.exit, 'the lonely primary to exit')).code, 0)
  const own = await member(t, folder)
  assert.equal(own.role, 'primary')
  const secondary = program(t, folder, 'idle')
  assert.equal((await secondary.ready<{ role: string }>()).role, 'secondary')
  assert.equal((await within(secondary.exit, 'the secondary to exit')).code, 0)
})

test('B12 ref: false: a primary whose loop runs empty hands over, though others are linked to it', async (t) => {
  const folder = workspace(t)
  const child = program(t, folder, 'later')
  assert.equal((await child.ready<{ role: string }>()).role, 'primary')
  const own = await member(t, folder)
  const heard = bench.statuses(own)
  child.letGo()
  assert.equal((await within(child.exit, 'the primary to exit')).code, 0)
  await until(() => own.role === 'primary', 'the other to serve')
  assert.deepEqual(heard[0], { type: 'primary-lost', term: 1, cause: 'handover' })
})

for (const what of ['pending', 'stream']) {
  test(`ref: false: a ${what === 'pending' ? 'call' : 'stream'} that has not ended keeps the process alive`, async (t) => {
    const folder = workspace(t)
    await member(t, folder)
    const child = program(t, folder, what)
    await child.ready()
    assert.equal((await child.next((message) => 'answer' in message))['answer'], what === 'pending' ? 'late' : 'done')
    assert.equal((await child.exit).code, 0)
  })
}

test('F4 process.exit() in a secondary right after an awaited publish loses nothing', async (t) => {
  const folder = workspace(t)
  const own = await member(t, folder)
  const subscribe = async () => collect(await bench.subscribe(own, 'x', { maxQueued: 100_000 }))
  const got = await subscribe()
  const secondary = program(t, folder, 'publish')
  await secondary.exit
  await until(() => got.length === 20_000, 'all of them', { seen: () => got.length })
})

for (const signal of [undefined, 'SIGKILL'] as const) {
  const how = signal ?? 'process.exit()'
  test(`B12 F4 ${how} in the primary right after an awaited publish: who was not behind has everything`, async (t) => {
    const folder = workspace(t)
    const child = program(t, folder, 'goodbye')
    await child.ready()
    const own = await member(t, folder)
    const events = collect(await bench.subscribe(own, 'x'))
    // So few that the acknowledgements come in one turn, and what is sent fits a kernel buffer.
    child.send({ count: 100, signal })
    await child.exit
    await until(() => own.role === 'primary', 'the survivor to serve')
    assert.deepEqual(
      events.map(({ data }) => data),
      Array.from({ length: 100 }, (_, i) => i),
    )
  })
}
