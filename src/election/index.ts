export {
  announcementPath,
  formatAnnouncement,
  parseAnnouncement,
  readAnnouncement,
  type AnnouncedState,
  type Announcement,
  type AnnouncementRecord,
  type ProtocolRange,
} from './announcement.ts'
export {
  endpointPath,
  formatEndpoint,
  inspectEndpoint,
  isEndpoint,
  isEndpointName,
  newEndpointPath,
} from './endpoint.ts'
export { isInstance, newInstance } from './instance.ts'
export * from './limits.ts'
export { readPrimary, type AbsentReason, type PrimarySight } from './observe.ts'
export { JOINING, transition, type ClosedBy, type LossCause, type Role, type RoleEvent, type RoleName } from './role.ts'
export { Seat, takeSeat, type SeatOptions, type SeatWatch } from './seat.ts'
export { seek, type SeekOptions, type Sought } from './seek.ts'
export { standAgain } from './standing.ts'
export { sweepEndpoints, type SweepOptions } from './sweep.ts'
export { isTerm, nextTerm, parseTerm, readTerm, termPath, type TermEvidence, type TermRecord } from './term.ts'
export { allowance, type Allowance, type Verb } from './verbs.ts'
export { BackOff, oneTurn, sleep, type SleepOptions } from './wait.ts'
export {
  findWorkspace,
  isAppName,
  openWorkspace,
  Workspace,
  type OpenOptions,
  type WorkspaceOptions,
} from './workspace.ts'
