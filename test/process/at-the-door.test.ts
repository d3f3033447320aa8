import assert from 'node:assert/strict'
import { renameSync, rmSync } from 'node:fs'
import { join as path } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { KIND } from '../../src/wire/frame.ts'
import { until, workspace } from '../support/index.ts'
import { FramePeer, hello, helloOf } from './frame-peer.ts'
import { own } from './support.ts'

const database = { migrations: ['CREATE TABLE note(text)'] }

test('A1: a primary whose database was moved a moment ago welcomes nobody', async (t) => {
  const folder = workspace(t)
  await own(t, folder, { database })
  const peer = new FramePeer(t, folder)
  await until(() => peer.socket.readyState === 'open', 'its connection')
  const file = path(folder, '.conclave', 'data.db')
  const greeting = hello(helloOf(folder))
  renameSync(file, `${file}.old`)
  peer.send(greeting)
  await peer.gone()
  assert.ok(peer.frames.every(({ kind }) => kind !== KIND.WELCOME))
})

test('A1: a primary whose lock was deleted a moment ago commits nothing', async (t) => {
  const folder = workspace(t)
  const member = await own(t, folder, { database })
  rmSync(path(folder, '.conclave', 'lock'))
  await assert.rejects(member.db.run("insert into note values ('lost')"), {
    code: 'WORKSPACE_MOVED',
    outcome: 'unknown',
  })
  const connection = new DatabaseSync(path(folder, '.conclave', 'data.db'), { readOnly: true })
  t.after(() => connection.close())
  assert.deepEqual({ ...connection.prepare('select count(*) as n from note').get() }, { n: 0 })
})
