import type { Dirent } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { isLeftOut } from './skip.ts'

/** Paths of regular files below a folder, relative to it, a folder at a time. Symbolic links are not followed. */
export async function* walk(root: string, signal: AbortSignal): AsyncGenerator<string[], void, undefined> {
  const folders = ['']
  for (let folder = folders.pop(); folder !== undefined && !signal.aborted; folder = folders.pop()) {
    const files: string[] = []
    for (const entry of await list(`${root}/${folder}`)) {
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`
      if (entry.isDirectory() && !isLeftOut(entry.name, 'folder')) folders.push(path)
      else if (entry.isFile() && !isLeftOut(entry.name, 'file')) files.push(path)
    }
    yield files
  }
}

async function list(folder: string): Promise<Dirent[]> {
  try {
    return await readdir(folder, { withFileTypes: true })
  } catch {
    return [] // forbidden, or gone since it was seen
  }
}
