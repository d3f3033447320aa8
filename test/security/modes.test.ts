import assert from 'node:assert/strict'
import { lstatSync, readdirSync } from 'node:fs'
import { join as path } from 'node:path'
import { test } from 'node:test'
import { spawnProgram, runtimeDirectory, until, workspace, type Scope } from '../support/index.ts'

/** Everything below a directory that somebody else could read, write or enter, if the way there were open. */
function open(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true, recursive: true }).flatMap((entry) => {
    const at = path(entry.parentPath, entry.name)
    // A file that is being replaced may be gone.
    const mode = (lstatSync(at, { throwIfNoEntry: false })?.mode ?? 0) & 0o777
    return (mode & 0o077) === 0 ? [] : [`${at.slice(directory.length)} ${mode.toString(8)}`]
  })
}

async function running(t: Scope, umask: string): Promise<string> {
  const folder = workspace(t)
  const program = path(import.meta.dirname, 'programs', 'umask.ts')
  const first = spawnProgram(t, program, [folder, umask])
  await first.ready()
  const second = spawnProgram(t, program, [folder, umask])
  await second.ready()
  // A change of primary writes all of them anew.
  await first.kill('SIGKILL')
  await second.next((message) => message['role'] === 'primary')
  await until(() => readdirSync(path(runtimeDirectory(t), 'conclave')).length > 0, 'its socket')
  return folder
}

for (const umask of ['000', '022', '077']) {
  test(`nothing a member makes can be read by others, with umask ${umask}`, async (t) => {
    const folder = await running(t, umask)
    const files = readdirSync(path(folder, '.conclave'))
    assert.ok(
      ['lock', 'primary.json', 'term', '.gitignore', 'data.db', 'data.db-wal', 'data.db-shm'].every((name) =>
        files.includes(name),
      ),
      files.join(),
    )
    assert.deepEqual(open(path(folder)), [])
    assert.deepEqual(open(runtimeDirectory(t)), [])
  })
}
