export { mapsEveryId, isOurUid, refuseSetuid, type UidView } from './identity.ts'
export { memoryPlatform, type MemoryMachine, type MemoryProcess, type MemoryProcessOptions } from './memory.ts'
export { posixPlatform } from './posix.ts'
export type { FileStat, FileSystem, Lock, Platform } from './platform.ts'
