// What the compiler says about classes made by pg-actor-stubs, and about the rest.

import pg from 'pg';
import { Actors } from 'pg-actor';
import { Auction } from './made.js';

export async function typed(): Promise<number | null> {
  const actors = new Actors(new pg.Pool(), { readers: new pg.Pool() });
  const auction = new Auction(actors, 17);
  const client = await new pg.Pool().connect();

  // @ts-expect-error: a member must be given
  await auction.bid({});
  // @ts-expect-error: it is a number
  await auction.bid({ amount: 'ten' });
  // @ts-expect-error: there is no such method
  await auction.unknown();
  await actors.on(client).ref('auction', 17).unknown({ any: 1 });
  await actors.ref('auction', 17).setReminder('close', { due: new Date(), firings: 3, period: 1000 });
  return auction.with({ requestId: 'r' }).bid({ amount: 10, bidder: null });
}
