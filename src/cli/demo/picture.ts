import type { DemoState, ProcessView } from './state.ts'

/** A picture as data: drawn on a terminal by live.ts, as SVG by scripts/demo-picture.mjs. */
export type Tone = 'plain' | 'dim' | 'bold' | 'primary' | 'secondary' | 'killed' | 'late' | 'good' | 'bad' | 'accent'

export interface Piece {
  readonly text: string
  readonly tone: Tone
}

export type Line = readonly Piece[]

/** Fits into a terminal of 80 columns. */
export const WIDTH = 79
const BAR = 28
const EIGHTHS = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'] as const

/** The demo at one moment. Always the same number of lines for the same number of processes and failovers. */
export function frameOf(state: DemoState): readonly Line[] {
  const most = Math.max(1, ...state.processes.map(({ files }) => files))
  return [
    head(state),
    [],
    ...state.processes.map((view) => processLine(view, most)),
    [],
    filesLine(state),
    eventsLine(state),
    failoversLine(state),
    [],
    verdictLine(state),
  ]
}

function head({ tree, elapsedMs, term }: DemoState): Line {
  const right = `term ${term}   ${(elapsedMs / 1000).toFixed(1)} s`
  const room = WIDTH - right.length - 'conclave demo  '.length - 1
  const path = tree.length <= room ? tree : `…${tree.slice(tree.length - room + 1)}`
  return [piece('conclave demo  ', 'bold'), piece(path.padEnd(room + 1), 'dim'), piece(right, 'accent')]
}

function processLine(view: ProcessView, most: number): Line {
  const { name, pid, state, role, term, files, late } = view
  const tone: Tone = state === 'killed' ? 'killed' : role === 'primary' ? 'primary' : 'secondary'
  const [filled, empty] = bar(files / most)
  const what = state === 'killed' ? `SIGKILL in term ${term}` : state === 'working' ? (role ?? '') : state
  return [
    piece(name.padEnd(10), state === 'killed' ? 'dim' : 'plain'),
    piece(String(pid).padStart(8), 'dim'),
    piece('  ', 'plain'),
    piece(filled, tone),
    piece(`${empty} `, 'dim'),
    piece(String(files).padStart(6), state === 'killed' ? 'dim' : 'plain'),
    piece('  ', 'plain'),
    piece(what, state === 'killed' ? 'bad' : tone),
    piece(state === 'working' && term > 0 ? ` term ${term}` : '', 'dim'),
    piece(late ? ' late' : '', 'late'),
  ]
}

function filesLine({ done, total, phase, compared }: DemoState): Line {
  const [filled, empty] = bar(total === 0 ? 0 : done / total)
  const note = phase === 'walking' ? 'walking' : phase === 'comparing' ? `comparing ${compared}` : ''
  return [
    piece('files'.padEnd(20), 'bold'),
    piece(filled, 'good'),
    piece(`${empty} `, 'dim'),
    piece(`${done} of ${total} `, 'plain'),
    piece(note, 'dim'),
  ]
}

function eventsLine({ events, eventsPerSecond }: DemoState): Line {
  const { delivered, missed } = events
  return [
    piece('events'.padEnd(20), 'bold'),
    piece(`${delivered} delivered, ${missed} missed`, 'plain'),
    piece(`   ${eventsPerSecond} a second`, 'dim'),
  ]
}

function failoversLine({ failovers }: DemoState): Line {
  const pieces: Piece[] = [piece('failovers'.padEnd(20), 'bold')]
  if (failovers.length === 0) pieces.push(piece('none yet', 'dim'))
  for (const { term, ms, primary } of failovers) {
    pieces.push(piece(`${ms.toFixed(1)} ms`, 'accent'), piece(` to term ${term} (${primary})   `, 'dim'))
  }
  return pieces
}

function verdictLine({ phase, verdict }: DemoState): Line {
  if (verdict === undefined) return [piece(PHASES[phase], 'dim')]
  return phase === 'done' ? [piece(`✔ ${verdict}`, 'good')] : [piece(`✘ ${verdict}`, 'bad')]
}

const PHASES: Readonly<Record<DemoState['phase'], string>> = {
  starting: 'starting',
  walking: 'the primary walks the folder',
  indexing: 'indexing; the primary and a worker will be killed',
  comparing: 'comparing with an independent walk',
  done: 'done',
  failed: 'failed',
}

function bar(share: number): readonly [filled: string, empty: string] {
  const eighths = Math.round(Math.min(1, Math.max(0, share)) * BAR * 8)
  const part = eighths % 8
  const filled = '█'.repeat(Math.floor(eighths / 8)) + (part === 0 ? '' : EIGHTHS[part]!)
  return [filled, '·'.repeat(BAR - filled.length)]
}

function piece(text: string, tone: Tone): Piece {
  return { text, tone }
}
