import assert from 'node:assert/strict'
import { test } from 'node:test'
import { conclave, execute, until, within, workspace } from '../support/index.ts'
import { linesOf, onlyJson, shellCommand, startConclave, startMember } from './support.ts'

test('publish hands an event to those who listen', async (t) => {
  const folder = workspace(t)
  const member = await startMember(t, folder)
  const first = await conclave(t, ['publish', 'seen.a', '{"id":7}', '--dir', folder])
  assert.deepEqual({ ...first }, { code: 0, signal: null, stdout: '', stderr: '' })
  assert.deepEqual(await member.next(({ topic }) => topic === 'seen.a'), { topic: 'seen.a', data: { id: 7 } })

  const second = await conclave(t, ['publish', 'seen.b', '-', '--dir', folder, '--json'], { input: '[1, 2]\n' })
  const { topic, seq, term } = onlyJson(second.stdout)
  assert.deepEqual({ topic, term }, { topic: 'seen.b', term: 1 })
  assert.equal(typeof seq, 'number')
  assert.deepEqual((await member.next(({ topic }) => topic === 'seen.b'))['data'], [1, 2])

  const wrong = await conclave(t, ['publish', 'no spaces', '--dir', folder])
  assert.equal(wrong.code, 2)
  assert.match(wrong.stderr, /INVALID_OPTION/)
})

test('publish, call and tail exit 3 when nobody is primary', async (t) => {
  const folder = workspace(t)
  for (const args of [
    ['publish', 'a'],
    ['call', 'a'],
    ['tail', 'a'],
  ]) {
    const { code, stdout, stderr } = await conclave(t, [...args, '--dir', folder])
    assert.deepEqual({ code, stdout }, { code: 3, stdout: '' }, args.join(' '))
    assert.match(stderr, /^conclave: NO_PRIMARY: /)
    assert.equal(linesOf(stderr).length, 1)
  }
})

test('call prints the result, and its exit code says what went wrong', async (t) => {
  const folder = workspace(t)
  const member = await startMember(t, folder)
  const at = (...args: string[]): ReturnType<typeof conclave> => conclave(t, ['call', ...args, '--dir', folder])

  assert.deepEqual(onlyJson((await at('echo', '{"a":[1]}')).stdout), { a: [1] })
  const piped = await conclave(t, ['call', 'echo', '-', '--dir', folder], { input: '{"from":"stdin"}' })
  assert.deepEqual(onlyJson(piped.stdout), { from: 'stdin' })
  assert.equal((await at('echo', '"x"', '--to', 'name:editor')).stdout, '"x"\n')
  assert.equal((await at('echo', '"x"', '--to', 'any')).stdout, '"x"\n')
  const id = member.messages[0]!['id'] as string
  assert.equal((await at('echo', '"x"', '--to', `id:${id}`)).stdout, '"x"\n')

  assert.equal((await at('--json', 'echo', '--', '-5')).stdout, '', 'behind -- there are no options: --dir is a word')
  const negative = await conclave(t, ['call', 'echo', '--dir', folder, '--', '-5'])
  assert.equal(negative.stdout, '-5\n')

  const failures: [args: string[], code: number, says: RegExp][] = [
    [['nothing'], 4, /METHOD_NOT_FOUND/],
    [['echo', '--to', 'name:nobody'], 4, /MEMBER_NOT_FOUND/],
    [['fail'], 1, /FAILED: .*as it was told to/],
    // A handler's words do not reach the terminal as they are.
    [
      ['failWith', JSON.stringify('\u001b[2J \u009b2J \r\u007f')],
      1,
      /FAILED: [ -~]*\\u001b\[2J \\u009b2J \\r\\u007f[ -~]*\n$/,
    ],
    [['never', '--timeout', '200'], 124, /TIMEOUT/],
  ]
  for (const [args, code, says] of failures) {
    const ended = await at(...args)
    assert.deepEqual({ code: ended.code, stdout: ended.stdout }, { code, stdout: '' }, args.join(' '))
    assert.match(ended.stderr, says)
    assert.equal(linesOf(ended.stderr).length, 1)
  }
})

test('call --stream prints items as they come, and a reader may leave', async (t) => {
  const folder = workspace(t)
  await startMember(t, folder)
  const { code, stdout } = await conclave(t, ['call', 'count', '3', '--stream', '--dir', folder])
  assert.deepEqual({ code, stdout }, { code: 0, stdout: '1\n2\n3\n' })
  const command = `set -o pipefail; ${shellCommand(`call count 1000000000 --stream --dir '${folder}'`)} | head -1`
  const left = await execute(t, 'bash', ['-c', command])
  assert.deepEqual({ ...left }, { code: 0, signal: null, stdout: '1\n', stderr: '' })
})

test('Ctrl-C ends a call that waits, with 130', async (t) => {
  const folder = workspace(t)
  await startMember(t, folder)
  const call = startConclave(t, ['call', 'never', '--dir', folder])
  await until(async () => (await conclave(t, ['status', folder])).stdout.includes('1 calls, 0 dropped'), 'the call')
  assert.deepEqual(await call.kill('SIGINT'), { code: 130, signal: null })
  assert.equal(call.stderr(), '')
})

test('tail prints events as lines of JSON, from where it is told', async (t) => {
  const folder = workspace(t)
  const member = await startMember(t, folder)
  member.send({ do: 'publish', topic: 'news.a', count: 5 })
  await member.next(({ published }) => published === 5)
  const all = await conclave(t, ['tail', 'news.*', folder, '--from', 'earliest', '--count', '5', '--json'])
  const events = linesOf(all.stdout).map((line) => JSON.parse(line) as { data: unknown; missed: number; term: number })
  assert.deepEqual(
    events.map(({ data, missed, term }) => ({ data, missed, term })),
    [1, 2, 3, 4, 5].map((i) => ({ data: { i }, missed: 0, term: 1 })),
  )
  const last = await conclave(t, ['tail', 'news.*', folder, '--from', 'last=2', '-n', '2'])
  assert.match(last.stdout, /^\S+ {2}news\.a {2}\{"i":4\} {2}editor \d+\n\S+ {2}news\.a {2}\{"i":5\}/)
})

test('tail says what was lost', async (t) => {
  const folder = workspace(t)
  const member = await startMember(t, folder)
  member.send({ do: 'publish', topic: 'news', count: 10_050 })
  await member.next(({ published }) => published === 10_050)
  const { stdout } = await conclave(t, ['tail', 'news', folder, '--from', 'after=4294967296', '--count', '1'])
  assert.match(linesOf(stdout)[0]!, /^--- .* events missed.* ---$/)
})

test('tail survives a change of primary, and Ctrl-C ends it', async (t) => {
  const folder = workspace(t)
  const first = await startMember(t, folder, 'first')
  const second = await startMember(t, folder, 'second')
  const tail = startConclave(t, ['tail', '>', folder, '--json'])
  const seen = (text: string): Promise<unknown> =>
    until(() => tail.stdout().includes(text), `tail to print ${text}`, { seen: tail.stderr })
  await until(
    async () => {
      first.send({ do: 'publish', topic: 'before' })
      return tail.stdout().includes('"before"')
    },
    'tail to listen',
    { everyMs: 50 },
  )
  await first.kill('SIGKILL')
  await until(
    async () => {
      second.send({ do: 'publish', topic: 'after' })
      return tail.stdout().includes('"after"')
    },
    'tail to follow',
    { everyMs: 50 },
  )
  await seen('"term":2')
  const { code } = await tail.kill('SIGINT')
  assert.equal(code, 130)
  assert.equal(tail.stderr(), '')
})

test('tail | head -1 ends without a stack trace', async (t) => {
  const folder = workspace(t)
  const member = await startMember(t, folder)
  const command = shellCommand(`tail '>' '${folder}' --json`)
  const ended = execute(t, 'bash', ['-c', `${command} | head -1`])
  const publishing = setInterval(() => member.send({ do: 'publish', topic: 'tick' }), 20)
  try {
    const { code, stdout, stderr } = await within(ended, 'head to end tail')
    assert.deepEqual({ code, lines: linesOf(stdout).length, stderr }, { code: 0, lines: 1, stderr: '' })
  } finally {
    clearInterval(publishing)
  }
})

test('tail --wait waits for the first primary', async (t) => {
  const folder = workspace(t)
  const tail = startConclave(t, ['tail', 'news', folder, '--wait', '30000', '--json', '-n', '1'])
  const member = await startMember(t, folder)
  const publishing = setInterval(() => member.send({ do: 'publish' }), 20)
  try {
    assert.deepEqual(await within(tail.exit, 'tail to get its event'), { code: 0, signal: null })
    assert.deepEqual(onlyJson(tail.stdout())['topic'], 'news')
  } finally {
    clearInterval(publishing)
  }
})
