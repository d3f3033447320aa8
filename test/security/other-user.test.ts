import assert from 'node:assert/strict'
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join as path } from 'node:path'
import { describe, test } from 'node:test'
import { join, type Status } from 'conclave'
import { KIND } from '../../src/wire/frame.ts'
import { PROTOCOL } from '../../src/wire/handshake.ts'
import { newInstance } from '../../src/election/index.ts'
import { endpointOf } from '../engine/local/lines.ts'
import { member, own } from '../process/support.ts'
import { runtimeDirectory, temporaryDirectory, until, workspace, type Scope } from '../support/index.ts'
import { encode, frameOf } from '../wire/support.ts'
import { foreigner, reachable, requireRoot, STRANGERS } from './support.ts'

/** A workspace that other users can walk to: what keeps them out then is our own. */
function openPlace(t: Scope): string {
  const folder = workspace(t)
  reachable(t, path(folder, 'x'))
  reachable(t, path(runtimeDirectory(t), 'x'))
  return folder
}

/** Takes away what the file system does for us, so that only our own checks are left. */
function weaken(folder: string, runtime: string): void {
  chmodSync(path(folder, '.conclave'), 0o777)
  for (const name of ['lock', 'term', 'primary.json']) chmodSync(path(folder, '.conclave', name), 0o666)
  chmodSync(path(runtime, 'conclave'), 0o777)
  chmodSync(endpointOf(folder), 0o666)
}

const LINE = Buffer.from('{"jsonrpc":"2.0","id":1,"method":"conclave.status"}\n').toString('base64')

/** A true HELLO, as far as a stranger can make one. */
function hello(folder: string): string {
  const { lock } = JSON.parse(readFileSync(path(folder, '.conclave', 'primary.json'), 'utf8')) as { lock: string }
  const body = { protocol: PROTOCOL, workspace: lock, id: newInstance(), name: 'stranger', pid: 1, term: 0 }
  return Buffer.from(encode(frameOf({ kind: KIND.HELLO, body: JSON.stringify(body) }))).toString('base64')
}

async function watch(statuses: AsyncIterable<Status>, into: Status[]): Promise<void> {
  for await (const status of statuses) into.push(status)
}

for (const uid of STRANGERS) {
  describe(`P6: uid ${uid} and a workspace of ours`, () => {
    test('cannot look into it, join it, watch it, nor reach its socket', async (t) => {
      if (!requireRoot(t)) return
      const folder = openPlace(t)
      const first = await own(t, folder)
      const endpoint = endpointOf(folder)
      for (const file of [path(folder, '.conclave', 'primary.json'), path(folder, '.conclave', 'lock')]) {
        assert.equal((await foreigner(t, uid, 'read', file).next())['code'], 'EACCES')
      }
      assert.equal((await foreigner(t, uid, 'connect', endpoint, LINE).next())['code'], 'EACCES')
      for (const options of [{}, { primary: 'never' }]) {
        const said = await foreigner(t, uid, 'join', folder, JSON.stringify(options)).next()
        assert.equal(said['code'], 'FOREIGN_WORKSPACE', JSON.stringify(said))
        assert.match(String(said['message']), /uid 0.*sudo -u '#0'.*chown/)
      }
      assert.equal((await first.inspect()).members.length, 1)
    })

    test('is told by our own checks alone, where the modes of all files are wide open', async (t) => {
      if (!requireRoot(t)) return
      const folder = openPlace(t)
      const first = await own(t, folder)
      weaken(folder, runtimeDirectory(t))
      for (const options of [{}, { primary: 'never' }, { primary: 'must' }]) {
        const said = await foreigner(t, uid, 'join', folder, JSON.stringify(options)).next()
        assert.equal(said['code'], 'FOREIGN_WORKSPACE', JSON.stringify(said))
      }
      assert.equal(first.role, 'primary')
    })

    test('that connects to our primary all the same is closed unread, in frames and in lines, and reported', async (t) => {
      if (!requireRoot(t)) return
      const folder = openPlace(t)
      const first = await own(t, folder, { methods: { echo: (x: unknown) => x } })
      const statuses: Status[] = []
      void watch(first.status(), statuses)
      weaken(folder, runtimeDirectory(t))
      const endpoint = endpointOf(folder)
      for (const [n, text] of [LINE, hello(folder), ''].entries()) {
        const peer = foreigner(t, uid, 'connect', endpoint, text)
        const said = await peer.next((message) => message['closed'] === true)
        assert.equal(said['bytes'], 0, 'not a word')
        const warnings = (): Status[] => statuses.filter((s) => s.type === 'warning' && s.error.code === 'FORBIDDEN')
        await until(() => warnings().length === n + 1, 'the warning')
        assert.match((warnings().at(-1) as { error: Error }).error.message, new RegExp(`uid ${uid}`))
      }
      const { members, links, counters } = await first.inspect()
      assert.deepEqual([members.length, counters['door.accepted']], [1, 0])
      assert.deepEqual(
        links.filter((link) => link.member !== first.id),
        [],
      )
      assert.equal(await first.call('echo', 'well'), 'well')
    })

    test('that listens where our primary should is not spoken to', async (t) => {
      if (!requireRoot(t)) return
      const folder = openPlace(t)
      const primary = await member(t, folder)
      const second = await own(t, folder, { primary: 'never' })
      // The primary is stopped and its socket is the stranger's: all there is to tell them apart is who the kernel says it is.
      await primary.stop()
      const endpoint = endpointOf(folder)
      const directory = path(runtimeDirectory(t), 'conclave')
      renameSync(endpoint, `${endpoint}.aside`)
      chmodSync(directory, 0o777)
      const impostor = foreigner(t, uid, 'listen', endpoint)
      await impostor.ready()
      chmodSync(directory, 0o700)
      assert.equal(lstatSync(endpoint).uid, uid)
      await assert.rejects(join(folder, { primary: 'never' }), { code: 'NO_PRIMARY' }, 'a socket of theirs is none')
      assert.deepEqual(impostor.messages.length, 1, 'not even connected to')
      chownSync(endpoint, 0, 0)
      for (const options of [{}, { primary: 'never' }] as const) {
        await assert.rejects(join(folder, options), { code: 'FORBIDDEN', message: new RegExp(`uid ${uid}`) })
      }
      await until(() => impostor.messages.some((said) => said['closed'] === true), 'the impostor to see the end')
      assert.deepEqual(
        impostor.messages.filter((said) => 'bytes' in said),
        [],
        'it was not told a byte',
      )
      assert.equal(second.primary?.id, primary.id)
    })

    test('owns the directory of sockets, or has put a symlink there: refused before anything is made', async (t) => {
      if (!requireRoot(t)) return
      const runtime = runtimeDirectory(t)
      const conclave = path(runtime, 'conclave')
      const ways: Readonly<Record<string, readonly [() => void, code: string]>> = {
        theirs: [
          () => {
            mkdirSync(conclave, { mode: 0o700 })
            chownSync(conclave, uid, uid)
          },
          'FOREIGN_WORKSPACE',
        ],
        'a symlink to theirs': [
          () => {
            const theirs = temporaryDirectory(t, 'x')
            chownSync(theirs, uid, uid)
            symlinkSync(theirs, conclave)
          },
          'UNSAFE_WORKSPACE',
        ],
        'a symlink to ours': [() => symlinkSync(temporaryDirectory(t, 'x'), conclave), 'UNSAFE_WORKSPACE'],
        'open to all': [
          () => {
            mkdirSync(conclave)
            chmodSync(conclave, 0o777)
          },
          'UNSAFE_WORKSPACE',
        ],
      }
      for (const [what, [make, code]] of Object.entries(ways)) {
        make()
        const folder = workspace(t)
        await assert.rejects(join(folder), { code }, what)
        renameSync(conclave, path(temporaryDirectory(t, 'old'), 'conclave'))
      }
    })

    test('owns .conclave, or a file in it: not used, root or not', async (t) => {
      if (!requireRoot(t)) return
      const folder = workspace(t)
      mkdirSync(path(folder, '.conclave'), { mode: 0o700 })
      chownSync(path(folder, '.conclave'), uid, uid)
      await assert.rejects(join(folder), { code: 'FOREIGN_WORKSPACE' })
      await assert.rejects(join(folder, { primary: 'never' }), { code: 'FOREIGN_WORKSPACE' })
      const other = workspace(t)
      mkdirSync(path(other, '.conclave'), { mode: 0o700 })
      writeFileSync(path(other, '.conclave', 'lock'), '', { mode: 0o600 })
      chownSync(path(other, '.conclave', 'lock'), uid, uid)
      await assert.rejects(join(other), { code: 'FOREIGN_WORKSPACE' })
    })
  })
}
