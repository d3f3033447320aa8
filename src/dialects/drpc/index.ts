export { ClientConnection, type CallOptions } from './client.ts'
export type { ConnectionOptions } from './client-options.ts'
export {
  errorToStatus,
  isFailure,
  marshaling,
  newFailure,
  newFailureWithMessage,
  unknownMethod,
  unknownModule,
  unmarshalingCall,
  unmarshalingPayload,
} from './failure.ts'
export { explainPacket, Explainer, type Explained } from './explain.ts'
export { marshal, unmarshal } from './marshal.ts'
export type { Call, Response } from './messages.ts'
export { defineMethod, defineModule } from './module.ts'
export type { ServerOptions } from './options.ts'
export { DomainSocketServer, type ShutdownOptions } from './server.ts'
export { Status, statusName, type StatusName } from './status.ts'
export type {
  CallContext,
  Decoded,
  Encodable,
  HandleCall,
  Method,
  MethodDefinition,
  AnyMethod,
  Module,
  ModuleDefinition,
  Schema,
  Session,
} from './types.ts'
export type { PeerCredentials } from '../../transport/index.ts'
