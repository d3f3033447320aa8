// The relay of bare bytes, beside the one of messages in net.ts.
export { bytes as peer } from './net.ts'
