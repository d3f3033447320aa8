// limit: 300 s
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { defer, ROOT, spawnProgram, until, within, workspace, type Program } from '../support/index.ts'

const PROGRAM = join(ROOT, 'test', 'sqlite', 'programs', 'kysely-flow.ts')

const acknowledged = ({ messages }: Program): string[] =>
  messages.flatMap(({ acknowledged: text }) => (typeof text === 'string' ? [text] : []))

for (const which of ['kysely', 'drizzle']) {
  test(`${which}: members write on while the primary is killed; what was acknowledged is there once`, async (t) => {
    const folder = workspace(t)
    const start = (name: string): Program => spawnProgram(t, PROGRAM, [folder, name, which])
    const first = start('first')
    assert.equal((await first.ready())['role'], 'primary')
    const others = [start('second'), start('third')]
    for (const member of others) assert.equal((await member.ready())['role'], 'secondary')
    const members = [first, ...others]
    for (const member of members) member.send({ go: true })
    for (const member of members) await until(() => acknowledged(member).length >= 10, `${member.name} to write`)
    await first.kill('SIGKILL')
    const before = others.map((member) => acknowledged(member).length)
    for (const [at, member] of others.entries()) {
      await until(() => acknowledged(member).length >= before[at]! + 10, `${member.name} to write on`)
      member.letGo()
    }
    for (const member of others) {
      const exit = await within(member.exit, `${member.name} to write its last and leave`)
      assert.deepEqual(exit, { code: 0, signal: null }, member.stderr)
    }

    const database = new DatabaseSync(join(folder, '.conclave', 'data.db'))
    defer(t, () => database.close())
    const notes = new Set(
      database
        .prepare('SELECT text FROM note')
        .all()
        .map(({ text }) => String(text)),
    )
    for (const member of members) for (const text of acknowledged(member)) assert.ok(notes.has(text), `${text} is lost`)
    const counted = [...notes].filter((text) => text.includes('counted')).length
    assert.equal(database.prepare('SELECT n FROM counter').get()?.['n'], counted, 'no transaction was torn')
  })
}
