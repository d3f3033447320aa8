import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { Types } from '../dialects/drpc/registry.ts'
import { UsageError } from './exit.ts'

/** Programs that compile a .proto, and how they are asked. */
const COMPILERS: readonly (readonly [string, (folder: string, file: string, output: string) => string[]])[] = [
  ['protoc', (folder, file, output) => ['-I', folder, '--include_imports', `--descriptor_set_out=${output}`, file]],
  [
    'buf',
    (folder, file, output) => [
      'build',
      folder,
      '--path',
      join(folder, file),
      '--as-file-descriptor-set',
      '-o',
      `${output}#format=binpb`,
    ],
  ],
]

/** The types of a .proto, or of a set that is compiled already (any other ending). */
export async function readTypes(path: string): Promise<Types> {
  return Types.read(path.endsWith('.proto') ? compile(resolve(path)) : readFileSync(path))
}

function compile(path: string): Uint8Array {
  const folder = mkdtempSync(join(tmpdir(), 'conclave-'))
  try {
    for (const [program, args] of COMPILERS) {
      const output = join(folder, 'types.binpb')
      const { error, status, stderr } = spawnSync(program, args(dirname(path), basename(path), output), {
        encoding: 'utf8',
      })
      if (error !== undefined) continue
      if (status === 0) return readFileSync(output)
      throw new UsageError(`${program} can't compile ${path}: ${stderr.trim()}`)
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
  throw new UsageError(
    `To read ${path}, protoc or buf must be installed; or give a compiled set (protoc --descriptor_set_out).`,
  )
}
