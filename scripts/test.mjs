// The test command: `npm test` runs all, `npm test -- wire rpc/timers` the files whose path contains one of the words.
// CONCLAVE_TEST_REQUIRE=all    a test that lacks a program (nc, python3) fails instead of being skipped
// CONCLAVE_TEST_LIMIT_MS=...   the watchdog's limit for each file; a file asks for more with `// limit: 300 s`
// CONCLAVE_TEST_CONCURRENCY=n  files at a time; default: the number of processors
import {
  existsSync,
  globSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
} from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join, relative, resolve, sep } from 'node:path'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'

// Its own tests run it on another folder.
const other = process.argv.find((word) => word.startsWith('--root='))?.slice('--root='.length)
const root = resolve(other ?? join(import.meta.dirname, '..'))
const words = process.argv.slice(2).filter((word) => !word.startsWith('-'))
const files = globSync('test/**/*.test.ts', { cwd: root, exclude: ['**/node_modules/**'] })
  .map((file) => file.split(sep).join('/'))
  .filter((file) => words.length === 0 || words.some((word) => file.includes(word)))
  .sort()

/** Everything that tests leave on disk lies below; its name marks every process they start. */
const base = mkdtempSync(join(realpathSync(process.platform === 'win32' ? tmpdir() : '/tmp'), 'cv-'))
process.env['CONCLAVE_TEST_BASE'] = process.env['TMPDIR'] = base
/** What is compiled once is not compiled again in each of a thousand processes: half the run's processor time. */
const compileCache = 'compile-cache'
process.env['NODE_COMPILE_CACHE'] = join(base, compileCache)
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(1))
process.once('exit', () => rmSync(base, { recursive: true, force: true }))

let tests = 0
let failed = 0

const events = run({
  cwd: root,
  files: files.map((file) => join(root, file)),
  concurrency: Number(process.env['CONCLAVE_TEST_CONCURRENCY'] ?? availableParallelism()),
  execArgv: ['--conditions=source', '--import', new URL('../test/support/watchdog.ts', import.meta.url).href],
})
const count = (/** @type {{ name: string, file?: string, details: { type?: string } }} */ { name, file, details }) => {
  // A file without a test is reported as if it were one.
  if (details.type !== 'suite' && name !== file) tests++
}
events.on('test:pass', (event) => {
  count(event)
  if (event.name !== event.file) return
  failed++
  process.stderr.write(`${relative(root, event.name)} holds no test.\n`)
})
events.on('test:fail', (event) => {
  count(event)
  if (event.todo === undefined) failed++
})
events.compose(spec).pipe(process.stdout)
events.once('end', finish)

function finish() {
  const left = leftBehind()
  for (const { pid, command } of left) {
    process.stderr.write(`Left running by a test, now killed: ${pid} ${command}\n`)
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It has ended by itself.
    }
  }
  const litter = existsSync(base)
    ? readdirSync(base).filter((name) => name !== compileCache)
    : [`${base} itself is gone`]
  if (litter.length > 0) process.stderr.write(`Left on disk by a test: ${litter.join(', ')}\n`)
  if (tests === 0) process.stderr.write(`No test ran${words.length > 0 ? ` for: ${words.join(' ')}` : ''}.\n`)
  process.exitCode = failed > 0 || tests === 0 || left.length > 0 || litter.length > 0 ? 1 : 0
}

/** Processes that carry this run's mark in their environment. Linux shows it; elsewhere the harness is trusted. */
function leftBehind() {
  if (process.platform !== 'linux') return []
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((name) => {
      try {
        // The run's own environment was set after its start, so a runner inside a test is found by its mark as well.
        if (!readFileSync(`/proc/${name}/environ`, 'latin1').includes(`CONCLAVE_TEST_BASE=${base}`)) return []
        readlinkSync(`/proc/${name}/exe`)
        const command = readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
        return [{ pid: Number(name), command }]
      } catch {
        return [] // another user's, or gone
      }
    })
}
