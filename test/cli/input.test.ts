import assert from 'node:assert/strict'
import { createReadStream } from 'node:fs'
import { test } from 'node:test'
import { conclave, workspace } from '../support/index.ts'
import { startConclave, startMember } from './support.ts'

/** More than a pipe holds: who has taken it is reading. */
const PIPEFUL = 1024 * 1024

test('a signal ends a verb that waits for its standard input', async (t) => {
  const folder = workspace(t)
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const) {
    for (const args of [
      ['publish', 'a', '-'],
      ['call', 'a', '-'],
      ['db', '-'],
      ['pipe', 'send', 'x'],
      ['drpc', 'decode'],
    ]) {
      const verb = startConclave(t, args[0] === 'drpc' ? args : [...args, '--dir', folder])
      await new Promise((resolve) => verb.process.stdin!.write(' '.repeat(PIPEFUL), resolve))
      assert.deepEqual(await verb.kill(signal), { code, signal: null }, `${args.join(' ')} ${signal}`)
      assert.equal(verb.stderr(), '')
    }
  }
})

test('what is no UTF-8 is refused, not published as something else', async (t) => {
  const folder = workspace(t)
  await startMember(t, folder)
  for (const args of [
    ['publish', 'a', '-'],
    ['call', 'echo', '-'],
    ['db', '-'],
  ]) {
    const verb = startConclave(t, [...args, '--dir', folder])
    verb.process.stdin!.end(Buffer.from('"a\u00ff"', 'latin1'))
    assert.deepEqual(await verb.exit, { code: 2, signal: null }, args.join(' '))
    assert.match(verb.stderr(), /^conclave: The .* must be UTF-8\.\n$/)
  }
  const marked = await conclave(t, ['call', 'echo', '-', '--dir', folder], { input: '\ufeff{"ä":"€"}\r\n' })
  assert.equal(marked.stdout, '{"ä":"€"}\n')
})

test('an input without an end is refused, not collected until memory is out', async (t) => {
  const verb = startConclave(t, ['publish', 'a', '-', '--dir', workspace(t)])
  const endless = createReadStream('/dev/zero')
  endless.pipe(verb.process.stdin!)
  const { code } = await verb.exit
  endless.destroy()
  assert.equal(code, 2)
  assert.match(verb.stderr(), /may have 64 MiB at most/)
})
