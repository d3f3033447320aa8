// limit: 300 s
import assert from 'node:assert/strict'
import { readdirSync, readlinkSync } from 'node:fs'
import { join as path } from 'node:path'
import { describe, test } from 'node:test'
import { join } from 'conclave'
import { baseDirectory, runtimeDirectory, until, workspace, type Scope } from '../support/index.ts'
import { FaultyPlatform, KINDS, type Fault, type Kind, type Plan } from './faulty-platform.ts'
import { DATABASE, Life, type Departure } from './life.ts'

/** Every error at every place instead of one error for each place. */
const ALL = process.env['CONCLAVE_TEST_FAULTS'] === 'all'
const DEPARTURES: readonly Departure[] = ['closes', 'dies']

interface Machine {
  readonly faulty: FaultyPlatform
  readonly folder: string
  readonly runtime: string
}

function machine(t: Scope): Machine {
  const faulty = new FaultyPlatform(baseDirectory())
  t.after(() => faulty[Symbol.dispose]())
  return { faulty, folder: workspace(t), runtime: runtimeDirectory(t) }
}

/** Descriptors that lead to sockets or to files of the folder. */
function descriptors(folder: string): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const to = readlinkSync(`/proc/self/fd/${fd}`)
      return to.startsWith('socket:') || to.startsWith(folder) ? [to] : []
    } catch {
      return []
    }
  })
}

function temporaryFiles(folder: string): string[] {
  return readdirSync(path(folder, '.conclave')).filter((name) => name.endsWith('.tmp'))
}

interface Aftermath {
  /** Descriptors of before. */
  readonly open: readonly string[]
  /** One that could not be removed is for the sweep, and the next primary. */
  readonly forgiving: boolean
  readonly database: boolean
}

/** After whatever happened: nothing is held, and who comes next has a workspace that works. */
async function healthy({ folder, runtime }: Machine, { open, forgiving, database }: Aftermath): Promise<void> {
  await until(() => descriptors(folder).length <= open.length, 'descriptors to be closed', {
    seen: () => descriptors(folder),
  })
  const methods = { well: () => 'well' }
  const next = await join(folder, { name: 'next', methods, ...(database ? { database: DATABASE } : {}) })
  assert.equal(next.role, 'primary')
  assert.equal(await next.call('well'), 'well')
  await next.publish('x', 1)
  if (database) await next.db.run('INSERT INTO note VALUES (?)', ['next'])
  await next.close()
  const sockets = readdirSync(path(runtime, 'conclave'))
  assert.ok(sockets.length === 0 || forgiving, `sockets left: ${sockets.join(', ')}`)
  const files = temporaryFiles(folder)
  assert.ok(files.length === 0 || forgiving, `left: ${files.join(', ')}`)
}

/** Whose failure leaves files behind that are the sweep's. */
const LEAVING: ReadonlySet<Kind> = new Set(['unlink', 'lstat', 'stat', 'rename', 'readdir'])

/** @returns whether the life got as far as that call */
async function live(here: Machine, plan: Plan, departure: Departure, database = false): Promise<boolean> {
  const { faulty, folder } = here
  const open = descriptors(folder)
  const life = new Life(folder, database)
  faulty.plan(plan)
  try {
    await life.live(departure)
    const reached = faulty.hits > 0
    faulty.plan(undefined)
    life.end()
    const forgiving = plan.kinds.some((kind) => LEAVING.has(kind))
    await healthy(here, { open, forgiving, database })
    return reached
  } catch (error) {
    const { kinds, at, fault, forMs } = plan
    const what = `${forMs === undefined ? '' : 'from '}${kinds.join('/')} number ${at} fails with ${fault}, and the first member ${departure}`
    throw new Error(`${what}\n${life.failures.join('\n')}\n${String((error as Error).stack)}`, { cause: error })
  } finally {
    faulty.plan(undefined)
    life.end()
  }
}

const linux = { skip: process.platform !== 'linux' && 'looks into /proc' }

describe('one system call fails', linux, () => {
  for (const [kind, faults] of Object.entries(KINDS) as [Kind, readonly Fault[]][]) {
    test(`${kind}: ${faults.join(', ')}`, async (t) => {
      const here = machine(t)
      for (let at = 1, reached = true; reached; at++) {
        reached = false
        const round = ALL ? faults : [faults[at % faults.length]!]
        for (const [i, fault] of round.entries()) {
          for (const departure of ALL ? DEPARTURES : [DEPARTURES[(at + i) % 2]!]) {
            if (await live(here, { kinds: [kind], at, fault }, departure)) reached = true
          }
        }
      }
    })
  }
})

describe('one system call fails while they share a database', linux, () => {
  const kinds: readonly Kind[] = ['lstat', 'open', 'write', 'rename', 'unlink', 'flock', 'holds', 'send', 'receive']
  for (const kind of kinds) {
    test(`${kind}: ${KINDS[kind].join(', ')}`, async (t) => {
      const here = machine(t)
      const faults: readonly Fault[] = KINDS[kind]
      for (let at = 1, reached = true; reached; at += ALL || at < 12 ? 1 : 5) {
        reached = await live(here, { kinds: [kind], at, fault: faults[at % faults.length]! }, DEPARTURES[at % 2]!, true)
      }
    })
  }
})

describe('a shortage that lasts for a while', linux, () => {
  const shortages: readonly Pick<Plan, 'kinds' | 'fault'>[] = [
    { fault: 'ENOSPC', kinds: ['write', 'mkdir', 'rename', 'listen', 'flock'] },
    { fault: 'EMFILE', kinds: ['open', 'write', 'readdir', 'flock', 'fsync', 'listen', 'connect', 'accept'] },
    { fault: 'EIO', kinds: ['open', 'read', 'write', 'lstat', 'rename', 'unlink', 'fsync', 'flock'] },
    { fault: 'EAGAIN', kinds: ['send'] },
    { fault: 'EAGAIN', kinds: ['connect'] },
  ]
  for (const shortage of shortages) {
    test(`${shortage.fault} of ${shortage.kinds.join(', ')}`, async (t) => {
      const here = machine(t)
      for (let at = 1, step = 1, reached = true; reached; at += step) {
        reached = false
        for (const departure of ALL ? DEPARTURES : [DEPARTURES[at % 2]!]) {
          if (await live(here, { ...shortage, at, forMs: 200 }, departure)) reached = true
        }
        if (!ALL) step = at < 8 ? 1 : 3
      }
    })
  }
})
