import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { ConclaveError } from '../../errors/index.ts'

export interface ConfigOptions {
  /** Sub-folder of the workspace that an agent host has (`openclaw`, `hermes`, `lark-channel`). Default: none. */
  readonly workspace?: string | undefined
  /** Default: `process.env`. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined
}

/** `$LARKSUITE_CLI_CONFIG_DIR`, or `~/.lark-cli`. */
export function configDirectory({ workspace, env = process.env }: ConfigOptions = {}): string {
  const set = env['LARKSUITE_CLI_CONFIG_DIR']
  const base = set === undefined || set === '' ? join(env['HOME'] ?? homedir(), '.lark-cli') : set
  return workspace === undefined ? base : join(base, workspace)
}

/** An app id as a folder's name. */
export function sanitizeAppId(appId: string): string {
  const name = appId.replaceAll(/\.\.|[/\\\0]/g, '_')
  // A dot alone would name the folder of all of them.
  return name === '' || name === '.' ? '_' : name
}

/** Where buses have their folders. */
export function eventsDirectory(options: ConfigOptions = {}): string {
  return join(configDirectory(options), 'events')
}

/** The usual socket of an app's bus. */
export function busSocket(appId: string, options: ConfigOptions = {}): string {
  return join(eventsDirectory(options), sanitizeAppId(appId), 'bus.sock')
}

export interface BusFiles {
  readonly directory: string
  readonly socket: string
  /** Locked for the life of a bus, never deleted. */
  readonly aliveLock: string
  /** Locked by whoever starts a bus. */
  readonly forkLock: string
  readonly pid: string
  readonly log: string
}

/** The files beside a socket: `bus.alive.lock` and so on beside `bus.sock`. @throws `INVALID_OPTION` */
export function busFiles(socket: string): BusFiles {
  if (!socket.startsWith('/') || socket.includes('\0')) {
    throw new ConclaveError('INVALID_OPTION', `"${socket}" is no absolute path: a bus needs one for its socket.`)
  }
  const stem = socket.endsWith('.sock') ? socket.slice(0, -'.sock'.length) : socket
  return {
    directory: dirname(socket),
    socket,
    aliveLock: `${stem}.alive.lock`,
    forkLock: `${stem}.fork.lock`,
    pid: `${stem}.pid`,
    log: `${stem}.log`,
  }
}
