#!/usr/bin/env node
// Parses on any Node with ES modules, so that an old one gets a sentence and not a stack trace.
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { isatty } from 'node:tty'
import { fileURLToPath } from 'node:url'

const here = (path) => fileURLToPath(new URL(path, import.meta.url))
const needed = /\d+\.\d+/.exec(JSON.parse(readFileSync(here('../package.json'), 'utf8')).engines.node)[0]
const main = new URL('../dist/src/cli/main.js', import.meta.url)

if (isNewEnough(process.versions.node)) {
  // The mark is ours: what we start (`conclave lock -- …`) may be a conclave again.
  delete process.env.CONCLAVE_REEXEC
  if (existsSync(main)) await import(main.href)
  else fail('is not built: run `npm run compile` in the checkout.')
} else {
  // In a checkout the `node` devDependency lies beside us: `npx conclave` works whatever the system has.
  const newer = here('../node_modules/.bin/node')
  if (existsSync(newer) && process.env.CONCLAVE_REEXEC === undefined) runWith(newer)
  else fail(`needs Node ${needed} or newer, and this is Node ${process.versions.node} (${process.execPath}).`)
}

function isNewEnough(version) {
  const [major, minor] = version.split('.').map(Number)
  const [neededMajor, neededMinor] = needed.split('.').map(Number)
  return major > neededMajor || (major === neededMajor && minor >= neededMinor)
}

function fail(sentence) {
  process.stderr.write(`conclave ${sentence}\n`)
  process.exitCode = 1
}

function runWith(node) {
  const env = { ...process.env, CONCLAVE_REEXEC: '1' }
  const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: 'inherit', env })
  // What a terminal sends (Ctrl-C, its end) reaches the child as well; the rest is passed on. We end when it has ended, the
  // way it ended.
  const onTerminal = [0, 1, 2].some((stream) => isatty(stream))
  for (const signal of ['SIGINT', 'SIGHUP']) process.on(signal, () => onTerminal || child.kill(signal))
  process.on('SIGTERM', () => child.kill('SIGTERM'))
  child.once('error', (error) => fail(`can't start ${node}: ${error.message}`))
  child.once('exit', (code, signal) => {
    if (signal === null) process.exit(code)
    for (const own of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.removeAllListeners(own)
    process.kill(process.pid, signal)
  })
}
