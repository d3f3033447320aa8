// Runs the addon's tests under AddressSanitizer (with UndefinedBehaviorSanitizer) and under valgrind's memcheck:
// node scripts/sanitize-native.mjs [asan|valgrind] [words of test files]. Linux, with cc (gcc or clang) and valgrind.
// A copy of the sources gets an addon of its own, so that the one in build/ stays what it is.
import { spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { FLAGS, headers, sources } from './build-native.mjs'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const [first, ...others] = process.argv.slice(2)
const tools = first === 'asan' || first === 'valgrind' ? [first] : ['asan', 'valgrind']
const words = tools.length === 1 ? others : first === undefined ? [] : [first, ...others]
/** What loads the addon and does little else. */
const TESTS = words.length > 0 ? words : ['native/', 'transport/unix', 'transport/packets']
/** A frame of the addon, by the name of its source. */
const OURS = new RegExp(
  `\\((${sources()
    .map((file) => basename(file).replace('.', '\\.'))
    .join('|')}):\\d+\\)`,
)
/** Tests measured in seconds take minutes under valgrind. */
const LIMIT_MS = 1_800_000

const include = headers()
if (process.platform !== 'linux' || include === undefined) {
  console.error('conclave: sanitizers run on Linux, with the headers of Node (npm install with devDependencies).')
  process.exit(1)
}

const folder = mkdtempSync(join(tmpdir(), 'conclave-sanitize-'))
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1))
for (const name of ['src', 'test', 'package.json']) cpSync(join(root, name), join(folder, name), { recursive: true })
symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
mkdirSync(join(folder, 'build'))

const node = join(root, 'node_modules', 'node', 'bin', 'node')
const runtime = existsSync(node) ? node : process.execPath
const files = globSync('test/**/*.test.ts', { cwd: folder }).filter((file) => TESTS.some((word) => file.includes(word)))
let failed = files.length === 0
for (const tool of tools) failed = !(tool === 'asan' ? asan() : valgrind()) || failed
process.exitCode = failed ? 1 : 0

/** @param {readonly string[]} flags */
function build(flags) {
  const output = join(folder, 'build', 'conclave.node')
  const args = [
    ...FLAGS,
    '-g',
    '-fno-omit-frame-pointer',
    ...flags,
    '-shared',
    `-I${include}`,
    ...sources(),
    '-o',
    output,
  ]
  const run = spawnSync(process.env['CC'] || 'cc', args, { stdio: 'inherit' })
  return run.status === 0
}

/**
 * @param {string} file
 * @param {readonly string[]} command what runs Node
 * @param {Record<string, string>} env
 */
function test(file, command, env) {
  const args = [...command, runtime, '--conditions=source', '--test-reporter=spec', join(folder, file)]
  const [program = '', ...rest] = args
  const run = spawnSync(program, rest, {
    cwd: folder,
    encoding: 'utf8',
    timeout: LIMIT_MS,
    maxBuffer: 1 << 28,
    env: { ...process.env, ...env, NODE_OPTIONS: '', TMPDIR: tmpdir() },
  })
  if (run.status !== 0) console.error(run.stdout + run.stderr)
  return run
}

/** Leaks are valgrind's part: the collector of V8 keeps far too much alive at the end for LeakSanitizer. */
function asan() {
  if (!build(['-O1', '-fsanitize=address,undefined', '-fno-sanitize-recover=undefined'])) return false
  const library = spawnSync(process.env['CC'] || 'cc', ['-print-file-name=libasan.so'], {
    encoding: 'utf8',
  }).stdout.trim()
  const log = join(folder, 'asan')
  const env = {
    LD_PRELOAD: library,
    ASAN_OPTIONS: `detect_leaks=0:abort_on_error=0:exitcode=99:log_path=${log}`,
    UBSAN_OPTIONS: `print_stacktrace=1:log_path=${log}`,
  }
  let clean = true
  for (const file of files) {
    const { status } = test(file, [], env)
    console.log(`asan ${file}: ${status === 0 ? 'clean' : `exit ${String(status)}`}`)
    clean &&= status === 0
  }
  // Of programs that the tests start, too.
  for (const report of readdirSync(folder).filter((name) => name.startsWith('asan.'))) {
    console.error(readFileSync(join(folder, report), 'utf8'))
    clean = false
  }
  return clean
}

/**
 * A report that is about the addon: an access that it, or a function it called, made; a leak of what it allocated itself.
 * What Node allocates for the addon (the wrapper of an External, 40 bytes) is Node's to free, and at the end it does not.
 * @param {string} block
 */
function isOurs(block) {
  const frames = block.split('\n').filter((line) => / (?:at|by) 0x/.test(line) && !line.includes('vgpreload'))
  if (/ are definitely lost /.test(block)) return OURS.test(frames[0] ?? '')
  return (
    /Invalid (?:read|write|free)|Syscall param|Mismatched free/.test(block) &&
    frames.slice(0, 6).some((line) => OURS.test(line))
  )
}

/** V8 and its compilers do what memcheck can't follow, so only reports about the addon count. */
function valgrind() {
  if (!build(['-O1'])) return false
  let clean = true
  for (const file of files) {
    const log = join(folder, 'valgrind.log')
    const command = [
      'valgrind',
      '--leak-check=full',
      '--show-leak-kinds=definite',
      '--num-callers=30',
      '--smc-check=all-non-file',
      // The addon is unloaded before leaks are counted.
      '--keep-debuginfo=yes',
    ]
    const { status } = test(file, [...command, '--undef-value-errors=no', `--log-file=${log}`], {
      CONCLAVE_VALGRIND: '1',
    })
    const blocks = readFileSync(log, 'utf8').split(/^==\d+== \n/m)
    const ours = blocks.filter(isOurs)
    for (const block of ours) console.error(block)
    console.log(
      `valgrind ${file}: ${status === 0 && ours.length === 0 ? 'clean' : `exit ${String(status)}, ${ours.length} reports`}`,
    )
    clean &&= status === 0 && ours.length === 0
  }
  return clean
}
