export { batch, callback } from './callbacks.ts'
export { drizzle, type ConclaveDrizzleConfig } from './drizzle.ts'
export type { HasDatabase, QueryDatabase } from '../routed-reads.ts'
