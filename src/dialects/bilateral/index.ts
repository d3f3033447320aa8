export { Bilateral, type PeerInfo } from './node.ts'
export { newKeypair, type Keypair } from './keys.ts'
export type { CallOptions } from './calls.ts'
export type { Missing, Replies, Reply } from './pending.ts'
export type { CallContext, Handler, Handlers, RegisterOptions } from './methods.ts'
export type { MethodTypes } from './codec.ts'
export type { BilateralOptions, PeerChange } from './options.ts'
export type { Counters } from './counters.ts'
export type { Times } from './times.ts'
export type { ConnectorState } from './admission.ts'
export type { WaitOptions } from './waiters.ts'
export {
  decodeGob,
  encodeGob,
  gob,
  GobDecoder,
  GobEncoder,
  type Complex,
  type Concrete,
  type GobType,
  type Infer,
} from './gob/index.ts'
