// node bench/self-time.ts FILE.cpuprofile …: where the time of a profiled process went; first by what it is, then by
// function, each with its own time only. What the process did to start is left out.
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { plainTable } from './support/table.ts'

const SHOWN = 18

interface CallFrame {
  readonly functionName: string
  readonly url: string
  readonly lineNumber: number
}

interface Profile {
  readonly nodes: readonly { readonly id: number; readonly callFrame: CallFrame }[]
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

/** Of loading modules, which a long run makes invisible and a short one does not. */
const STARTUP = /internal\/(modules|bootstrap|deps)|^(node:internal\/process\/pre_execution)/

for (const file of process.argv.slice(2)) {
  const { nodes, samples, timeDeltas } = JSON.parse(readFileSync(file, 'utf8')) as Profile
  const frames = new Map(nodes.map(({ id, callFrame }) => [id, callFrame]))
  const kinds = new Map<string, number>()
  const functions = new Map<string, number>()
  let busy = 0
  samples.forEach((id, at) => {
    const frame = frames.get(id)
    const us = timeDeltas[at] ?? 0
    if (frame === undefined || frame.functionName === '(idle)' || STARTUP.test(frame.url)) return
    busy += us
    add(kinds, kindOf(frame), us)
    add(functions, nameOf(frame), us)
  })
  const share = (times: ReadonlyMap<string, number>, most: number) =>
    [...times]
      .sort(([, left], [, right]) => right - left)
      .slice(0, most)
      .map(([name, us]) => [name, ((us / busy) * 100).toFixed(1)])
  console.log(`${basename(file)}: ${(busy / 1e6).toFixed(2)} s busy`)
  console.log(`${plainTable(['what', '%'], share(kinds, 10))}\n`)
  console.log(`${plainTable(['function', '%'], share(functions, SHOWN))}\n`)
}

function add(times: Map<string, number>, name: string, us: number): void {
  times.set(name, (times.get(name) ?? 0) + us)
}

function kindOf({ functionName, url }: CallFrame): string {
  if (functionName === '(garbage collector)') return 'garbage collection'
  if (functionName === '(program)') return 'event loop, kernel'
  // The addon's send is one system call.
  if (functionName === 'send' && url.includes('transport/unix-socket')) return 'write to the kernel'
  if (/\/(dist\/src|src)\//.test(url)) return 'ours'
  if (url.includes('/bench/')) return 'the bench'
  if (url === '') return 'V8 and addon: promises, JSON, strings'
  return 'Node'
}

function nameOf({ functionName, url, lineNumber }: CallFrame): string {
  const place = url.replace(/^file:.*\/(?:dist\/)?(src|bench|node_modules)\//, '$1/')
  return `${functionName || '(anonymous)'}${url === '' ? '' : ` ${place}:${lineNumber + 1}`}`
}
