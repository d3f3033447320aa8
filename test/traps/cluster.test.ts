import assert from 'node:assert/strict'
import { readFileSync, readdirSync, readlinkSync } from 'node:fs'
import { join as path } from 'node:path'
import { test } from 'node:test'
import { endpointOf } from '../engine/local/lines.ts'
import { spawnProgram, until, workspace } from '../support/index.ts'
import { own } from '../process/support.ts'

interface Said {
  readonly pid: number
  readonly role: string
  readonly id: string
}

/** What the descriptors of a process lead to. */
function descriptors(pid: number): string[] {
  const folder = `/proc/${pid}/fd`
  return readdirSync(folder).flatMap((fd) => {
    try {
      return [readlinkSync(path(folder, fd))]
    } catch {
      return [] // closed since
    }
  })
}

/** The listening socket bound at the path, as a descriptor shows it: `socket:[inode]`. */
function listening(endpoint: string): string {
  const lines = readFileSync('/proc/net/unix', 'utf8').split('\n')
  const found = lines.map((line) => line.trim().split(/\s+/)).filter((words) => words[7] === endpoint)
  const ACCEPTS = '00010000'
  return `socket:[${found.find((words) => words[3] === ACCEPTS)?.[6]}]`
}

test(
  'cluster: lock and socket are the worker’s own, and its death is nobody else’s',
  { skip: process.platform !== 'linux' && 'looks into /proc' },
  async (t) => {
    const folder = workspace(t)
    const program = spawnProgram(t, path(import.meta.dirname, 'programs', 'cluster.ts'), [folder])
    const { workers, parent } = await program.ready<{ workers: readonly [Said, Said]; parent: Said }>()
    const [first, second] = workers
    assert.deepEqual([first.role, second.role, parent.role], ['primary', 'secondary', 'secondary'])
    assert.equal(new Set([first.id, second.id, parent.id]).size, 3)

    // Node would bind in the parent and hand the socket down; the addon's is the worker's.
    const lock = path(folder, '.conclave', 'lock')
    const socket = listening(endpointOf(folder))
    const holders = [first, second, parent].map(({ pid }) => {
      const held = descriptors(pid)
      return [held.includes(lock), held.includes(socket)]
    })
    assert.deepEqual(holders, [
      [true, true],
      [false, false],
      [false, false],
    ])

    const reader = await own(t, folder, { primary: 'never' })
    assert.equal(await reader.call('who'), first.pid)
    program.send({})
    await program.next((message) => message['ended'] === true)
    await until(() => reader.primary?.id === second.id, 'the other worker to serve')
    assert.equal(await reader.call('who', undefined, { idempotent: true }), second.pid)
    assert.equal(reader.term, 2)
    program.letGo()
    await program.exit
  },
)
