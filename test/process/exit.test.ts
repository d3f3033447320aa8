import assert from 'node:assert/strict'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { describe, test, type TestContext } from 'node:test'
import type { Event, Status } from 'conclave'
import { spawnProgram, until, within, workspace } from '../support/index.ts'
import { member, own, status } from './support.ts'

const COUNT = 3000
/** What a kernel takes at once: nothing that is done as a process exits helps one that is killed. */
const SHORT = 300
/** Who is held up for so long does not keep up: an exiting primary waits 100 ms for its readers (EXIT_PATIENCE_MS). */
const LATE_MS = 30
const ATTEMPTS = 5

/** All of what a process published and awaited arrives, though it exits at once. */
async function lastWords(t: TestContext, role: 'primary' | 'secondary', kill = false): Promise<void> {
  await published(t, role, { count: kill ? SHORT : COUNT, kill })
}

interface Words {
  readonly count: number
  /** Of each. */
  readonly bytes?: number
  readonly kill?: boolean
}

async function published(
  t: TestContext,
  role: 'primary' | 'secondary',
  { count, bytes, kill = false }: Words,
): Promise<void> {
  const folder = workspace(t)
  const program = role === 'primary' ? await member(t, folder) : undefined
  const observer = await own(t, folder, { primary: role === 'primary' ? 'never' : 'may' })
  const speaker = program ?? (await member(t, folder))
  assert.equal(speaker.role, role)
  const events = observer.subscribe('last', { maxQueued: COUNT })
  await events.ready
  speaker.send({ last: count, bytes, ...(kill ? { kill } : {}) })
  assert.deepEqual(await speaker.exit, kill ? { code: null, signal: 'SIGKILL' } : { code: 0, signal: null })
  try {
    for (let i = 0; i < count; i++) {
      const { data, missed } = (await within(events.next(), `event ${i}`, 10_000)).value as Event
      assert.deepEqual([Number(data), missed], [i, 0])
    }
  } finally {
    observer.abort()
  }
}

/** By a primary that says as much as the kernel takes at once, or more: a reader that was held up tries again. */
async function keptUp(t: TestContext, words: Words): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const delay = monitorEventLoopDelay({ resolution: 5 })
    delay.enable()
    try {
      return await published(t, 'primary', words)
    } catch (error) {
      if (attempt === ATTEMPTS || delay.max / 1e6 < LATE_MS) throw error
    } finally {
      delay.disable()
    }
  }
}

describe('process.exit() right after an awaited publish', () => {
  test('P8: loses nothing on a secondary, many times', async (t) => {
    for (let round = 0; round < 8; round++) await lastWords(t, 'secondary')
  })

  test('B12, F4: nor on the primary, for subscribers that keep up, many times', async (t) => {
    for (let round = 0; round < 8; round++) await keptUp(t, { count: COUNT })
  })

  test('B12: nor what is more than the kernel takes at once, many events or one', async (t) => {
    for (const words of [
      { count: 400, bytes: 2_000 },
      { count: 1, bytes: 1_000_000 },
    ]) {
      await keptUp(t, words)
      await published(t, 'secondary', words)
    }
  })

  for (const role of ['primary', 'secondary'] as const) {
    test(`B12: nor does a SIGKILL lose what a ${role} has awaited`, async (t) => {
      for (let round = 0; round < 4; round++) await lastWords(t, role, true)
    })
  }
})

describe('ref: false', () => {
  test('P8: an idle secondary does not keep its process', async (t) => {
    const folder = workspace(t)
    const first = await own(t, folder)
    const idle = spawnProgram(t, 'idle', [folder, 'idle'])
    await idle.ready()
    assert.deepEqual(await idle.exit, { code: 0, signal: null })
    await until(async () => (await first.inspect()).members.length === 1, 'it to be gone')
  })

  test('a pending call, and a publish, keep it until they settle', async (t) => {
    const folder = workspace(t)
    await member(t, folder)
    const calling = spawnProgram(t, 'idle', [folder, 'call'])
    assert.equal(typeof (await calling.next((message) => 'result' in message))['result'], 'number')
    assert.deepEqual(await calling.exit, { code: 0, signal: null })
    const publishing = spawnProgram(t, 'idle', [folder, 'publish'])
    assert.equal(typeof (await publishing.next((message) => 'seq' in message))['seq'], 'number')
    assert.deepEqual(await publishing.exit, { code: 0, signal: null })
  })

  test('ref() keeps it, unref() lets it go', async (t) => {
    const folder = workspace(t)
    await own(t, folder)
    const program = spawnProgram(t, 'idle', [folder, 'ref'])
    await program.next((message) => message['lived'] === true)
    assert.deepEqual(await program.exit, { code: 0, signal: null })
  })

  test('B12: a primary whose loop runs empty hands over before it exits', async (t) => {
    const folder = workspace(t)
    const stays = spawnProgram(t, 'idle', [folder, 'stay'])
    assert.equal((await stays.ready<{ role: string }>()).role, 'primary')
    const second = await own(t, folder)
    const statuses = second.status()
    stays.letGo()
    assert.deepEqual(await stays.exit, { code: 0, signal: null })
    const seen: Status[] = []
    for await (const each of statuses) if (seen.push(each) && each.type === 'role' && each.role === 'primary') break
    assert.deepEqual(
      seen.filter(({ type }) => type === 'primary-lost').map((each) => 'cause' in each && each.cause),
      ['handover'],
    )
  })

  test('B12: and its own program is told that it closed', async (t) => {
    const idle = spawnProgram(t, 'idle', [workspace(t), 'idle'])
    assert.equal((await idle.ready<{ role: string }>()).role, 'primary')
    assert.deepEqual(await idle.exit, { code: 0, signal: null })
    assert.ok(idle.messages.some(status('closed')))
  })
})

test('P8: close() lets the process end by itself', async (t) => {
  const folder = workspace(t)
  for (const role of ['primary', 'secondary']) {
    const keeper = role === 'secondary' ? await own(t, folder) : undefined
    const program = await member(t, folder)
    program.send({ close: true })
    program.letGo()
    assert.deepEqual(await program.exit, { code: 0, signal: null })
    keeper?.abort()
  }
})
