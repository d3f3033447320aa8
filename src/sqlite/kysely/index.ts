export { ConclaveDialect, type ConclaveDialectOptions } from './dialect.ts'
export type { Source } from './driver.ts'
export type { HasDatabase, QueryDatabase } from '../routed-reads.ts'
