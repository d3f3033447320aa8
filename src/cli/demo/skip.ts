/**
 * Rule A5: closing any descriptor of an SQLite database takes the locks of this process off it, so a program that reads
 * whole trees leaves databases and what lies beside them alone.
 */
const DATABASE = /(?:\.(?:db|db3|sqlite|sqlite3)(?:-(?:wal|shm|journal))?|-(?:wal|shm|journal))$/i

/** Both walks of the demo, which share nothing else, leave these out. */
export function isLeftOut(name: string, kind: 'file' | 'folder'): boolean {
  return kind === 'folder' ? name === '.conclave' : DATABASE.test(name)
}
