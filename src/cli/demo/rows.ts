import type { Row } from './verify.ts'

/** All rows of the index, through SQLite (rule A5). */
export async function readRows(path: string): Promise<Row[]> {
  const { DatabaseSync } = await quietly(() => import('node:sqlite'))
  const database = new DatabaseSync(path, { readOnly: true, timeout: 5_000 })
  try {
    return database.prepare('select path, sha256, size, results from file').all() as unknown as Row[]
  } finally {
    database.close()
  }
}

/** Node 22 warns that node:sqlite is experimental; the user of a command need not know. */
async function quietly<T>(load: () => Promise<T>): Promise<T> {
  const emitWarning = process.emitWarning.bind(process)
  process.emitWarning = () => {}
  try {
    return await load()
  } finally {
    process.emitWarning = emitWarning
  }
}
