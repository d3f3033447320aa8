import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { spawnProgram, temporaryDirectory, until, type Program } from '../../support/index.ts'
import { keypairs } from './support.ts'

const NODES = 10
const STOPPED = 5
const PROGRAM = join(import.meta.dirname, 'programs', 'mesh-node.ts')

interface Gathered {
  readonly pids: readonly number[]
  readonly missing: readonly { readonly name: string; readonly code: string }[]
}

test('ten nodes in ten processes, each connected to each, with CURVE', async (t) => {
  const folder = temporaryDirectory(t)
  const keys = await keypairs(NODES)
  const places = keys.map(({ publicKey }, at) => ({ name: publicKey, address: `ipc://${folder}/${at}` }))
  const start = (at: number): Program => {
    const config = { ...keys[at], listen: places[at]?.address, connect: places.slice(at + 1) }
    return spawnProgram(t, PROGRAM, [JSON.stringify(config)])
  }
  const nodes = keys.map((_, at) => start(at))
  const everybody = async (): Promise<void> => {
    await Promise.all(
      nodes.map((node) => {
        node.send({ wait: NODES - 1 })
        return node.next((message) => message['connected'] === NODES - 1)
      }),
    )
  }
  const [first] = nodes as [Program]
  const gather = async (timeoutMs: number): Promise<Gathered> => {
    first.send({ call: timeoutMs })
    return first.next<Gathered>((message) => message['pids'] !== undefined)
  }
  const others = (): number[] => nodes.slice(1).map(({ pid }) => pid)
  const sorted = (pids: readonly number[]): number[] => pids.toSorted((a, b) => a - b)

  await Promise.all(nodes.map((node) => node.ready()))
  await everybody()
  const all = await gather(30_000)
  assert.deepEqual(sorted(all.pids), sorted(others()))
  assert.deepEqual(all.missing, [])

  const stopped = nodes[STOPPED] as Program
  await stopped.stop()
  // One of those that go on may be held up for as long.
  const most = await until(
    async () => {
      const found = await gather(3_000)
      return found.pids.length === NODES - 2 && found
    },
    'all but the stopped one to answer',
    { limitMs: 60_000 },
  )
  assert.deepEqual(sorted(most.pids), sorted(others().filter((pid) => pid !== stopped.pid)))
  assert.deepEqual(most.missing, [{ name: keys[STOPPED]?.publicKey, code: 'TIMEOUT' }])
  stopped.cont()
  assert.equal((await gather(30_000)).pids.length, NODES - 1)

  await stopped.kill('SIGKILL')
  const begin = performance.now()
  nodes[STOPPED] = start(STOPPED)
  const again = await until(async () => {
    const found = await gather(30_000)
    return found.pids.length === NODES - 1 && found
  }, 'the restarted node to answer')
  t.diagnostic(
    `killed and restarted: answers again after ${Math.round(performance.now() - begin)} ms, its start included`,
  )
  assert.deepEqual(sorted(again.pids), sorted(others()))
  await everybody()
  for (const node of nodes) node.letGo()
  for (const node of nodes) assert.deepEqual(await node.exit, { code: 0, signal: null })
})
