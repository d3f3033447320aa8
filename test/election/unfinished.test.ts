import assert from 'node:assert/strict'
import { posix as path } from 'node:path'
import { describe, it } from 'node:test'
import { machine, memoryWorkspace, sit, systemError, withFaults } from './support.ts'

const LEFT = ['term.0123456789ab.tmp', 'primary.json.ffffffffffff.tmp', 'profile.json.0a0a0a0a0a0a.tmp']
const NOT_OURS = ['.gitignore.0123456789ab.tmp', 'notes.tmp', 'term.xyz.tmp', 'data.db']

describe('files that a killed primary did not finish', () => {
  it('are removed by the next one when it serves, and nothing else is', async () => {
    const one = machine()
    const workspace = memoryWorkspace(one.process())
    const { platform, directory } = workspace
    for (const name of [...LEFT, ...NOT_OURS]) platform.replaceFile(path.join(directory, name), '{')
    const seat = sit(workspace)
    assert.ok(platform.list(directory).includes(LEFT[0]!), 'not on the way to the seat')
    seat.announce()
    await seat.synced
    const names = new Set(platform.list(directory))
    assert.deepEqual(
      LEFT.filter((name) => names.has(name)),
      [],
    )
    assert.deepEqual(
      NOT_OURS.filter((name) => !names.has(name)),
      [],
    )
    assert.ok(names.has('term') && names.has('primary.json') && names.has('lock'))
  })

  it('are left to the successor by one that has lost its lock, and harm nobody when they cannot be removed', async () => {
    for (const fault of ['lost', 'remove', 'list'] as const) {
      const one = machine()
      const fails = (): never => {
        throw systemError('EIO')
      }
      const workspace = memoryWorkspace(
        withFaults(one.process(), fault === 'lost' ? {} : fault === 'remove' ? { remove: fails } : { list: fails }),
      )
      const file = path.join(workspace.directory, LEFT[0]!)
      workspace.platform.replaceFile(file, '{')
      const seat = sit(workspace)
      seat.announce()
      if (fault === 'lost') one.erase(workspace.lockPath)
      assert.equal(await seat.synced, undefined)
      assert.notEqual(one.process().stat(file), undefined)
    }
  })
})
