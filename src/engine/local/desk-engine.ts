import type { ActiveSubscription, SubscriptionRequest } from '../../events/subscriber.ts'
import type { Event } from '../../events/types.ts'
import type { Body } from '../../rpc/body.ts'
import type { EngineCall, EngineOffer, EngineStream, HubSnapshot, Peers, PeersQuery } from '../engine.ts'
import type { Desk } from './desk.ts'

/** The half of the `Engine` interface that a desk answers. */
export abstract class DeskEngine {
  protected abstract readonly desk: Desk

  now(): number {
    return this.desk.now()
  }

  call(call: EngineCall): Promise<unknown> {
    return this.desk.call(call)
  }

  notify(call: EngineCall): Promise<void> {
    return this.desk.notify(call)
  }

  stream(call: EngineCall): EngineStream {
    return this.desk.stream(call)
  }

  peers(query: PeersQuery, deadline: number, signal?: AbortSignal): Promise<Peers> {
    return this.desk.peers(query, deadline, signal)
  }

  inspect(deadline: number, signal?: AbortSignal): Promise<HubSnapshot> {
    return this.desk.inspect(deadline, signal)
  }

  offer(offer: EngineOffer): void {
    this.desk.offer(offer)
  }

  withdraw(method: string): void {
    this.desk.withdraw(method)
  }

  open(): void {
    this.desk.open()
  }

  publish(topic: string, body: Body, nested?: boolean, sensitive?: boolean): Promise<number> {
    return this.desk.publish(topic, body, nested, sensitive)
  }

  subscribe<Out>(
    request: SubscriptionRequest,
    deliver: (event: Event, missed: number, atLeast: number) => Out,
  ): ActiveSubscription<Out> {
    return this.desk.subscribe(request, deliver)
  }

  unsubscribe(subscription: ActiveSubscription<unknown>): void {
    this.desk.unsubscribe(subscription)
  }

  counters(): Readonly<Record<string, number>> {
    return this.desk.counters()
  }
}
