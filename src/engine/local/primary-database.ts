import type { Seat, Workspace } from '../../election/index.ts'
import { ConclaveError } from '../../errors/index.ts'
import { mayStand, openDatabase, type DatabaseSettings } from '../../sqlite/index.ts'
import { statementError } from '../../sqlite/sqlite-errors.ts'
import { ServedDatabase } from './served-database.ts'

/** The database that a member brings, for when it is primary. Loaded only by those that bring one. */
export interface PrimaryDatabase {
  /** Whether it may serve what this workspace has by now (rule A7). @throws `PROFILE_MISMATCH` */
  mayStand(): boolean
  /**
   * Locks and opens the file, raises the seat's term above the one in it, migrates.
   * @throws what opening and migrating throw; the file and its lock are free then
   */
  serve(seat: Seat, signal: AbortSignal, onWarning: (error: ConclaveError) => void): Promise<ServedDatabase>
}

export function primaryDatabase(workspace: Workspace, settings: DatabaseSettings): PrimaryDatabase {
  return {
    mayStand: () => mayStand(workspace, settings),
    async serve(seat, signal, onWarning) {
      const opened = await openDatabase({ ...settings, workspace, signal }).catch((error: unknown) => {
        throw asOurs(error)
      })
      try {
        seat.raiseAbove(opened.term)
        const { durability = 'normal' } = settings
        return await ServedDatabase.begin({ opened, seat, durability, onWarning })
      } catch (error) {
        const ours = asOurs(error)
        await opened.close(ours)
        throw ours
      }
    },
  }
}

/** SQLite's own words (a damaged file, no rights) as `FAILED`. */
function asOurs(error: unknown): ConclaveError {
  return ConclaveError.is(error) ? error : statementError(error, undefined)
}
