// Tests of the client; t/064_client_typescript.pl starts the server. Each function is a
// test, and gets actor ids of its own by its name.

import assert from 'node:assert/strict';
import pg from 'pg';
import { Actors } from 'pg-actor';
import { Auction } from '../out-tests/made.js';

const TRACE = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
const pool = new pg.Pool({ max: 3 });
const actors = new Actors(pool);
pool.on('error', () => {});

async function one(text, ...values) {
  const { rows } = await pool.query({ text, values, rowMode: 'array' });
  return rows[0][0];
}

const code = (expected) => (error) => error.code === expected;
/** The next call of a flaky method fails. */
const evenCalls = () => one("SELECT setval('flaky.calls', 2)");

const tests = {
  async calls(name) {
    const auction = actors.ref('auction', name);
    assert.equal(await auction.bid({ amount: 10 }), 10);
    assert.equal(await auction.bid([30]), 30);
    assert.equal(await auction.top(), 30);
    assert.deepEqual(await auction.bidders(), ['nobody']);
    assert.equal(await auction.call('odd name'), 17);
    assert.equal(await auction.close(), null);
    assert.deepEqual(await auction.echo({ a: [1, null, 'ä'] }), { a: [1, null, 'ä'] });
    assert.equal(await auction.echo('text'), 'text');
    await assert.rejects(auction.bid({ amount: 1 }), code('23514'));
    assert.equal(await new Actors(pool, { schema: 'public' }).ref('auction', name).top(), 30);
    await assert.rejects(new Actors(pool, { schema: 'none' }).ref('auction', name).top(), code('3F000'));
    assert.equal(await (await auction).top(), 30);
  },

  async reads(name) {
    let count = 0;
    const readers = { connect: () => (count++, pool.connect()) };
    const auction = new Actors(pool, { readers }).ref('auction', name);
    await auction.bid({ amount: 10 });
    assert.deepEqual([await auction.read('top'), count], [10, 1]);
    await assert.rejects(auction.read('bid', { amount: 20 }), code('25006'));
    assert.equal(await auction.bid({ amount: 20 }), 20);
    await actors.run(async (inside) => {
      assert.equal(await inside.ref('auction', name).read('top'), 20);
      assert.equal(await inside.ref('auction', name).bid({ amount: 30 }), 30);
    });
  },

  async 'transaction of caller'(name) {
    const client = await pool.connect();
    await client.query('BEGIN');
    await actors.on(client).ref('auction', name).bid({ amount: 10 });
    await client.query('ROLLBACK');
    client.release();
    assert.equal(await actors.ref('auction', name).top(), 0);
    await assert.rejects(actors.run(async (inside) => {
      await inside.ref('auction', name).bid({ amount: 10 });
      throw new Error('mine');
    }, { repeatable: true }), /mine/);
    assert.equal(await actors.ref('auction', name).top(), 0);
    assert.equal(await actors.run((inside) => inside.ref('auction', name).bid({ amount: 10 })), 10);
    assert.equal(await actors.ref('auction', name).top(), 10);
  },

  async 'request ids'(name) {
    const auction = actors.ref('auction', name);
    assert.equal(await auction.call('bid', { amount: 10 }, { requestId: 'r' }), 10);
    assert.equal(await auction.with({ requestId: 'r' }).bid({ amount: 10 }), 10);
    await assert.rejects(auction.with({ requestId: 'r' }).bid({ amount: 20 }), code('22023'));
  },

  async messages(name) {
    const auction = actors.ref('auction', name);
    assert.ok(Number(await auction.send('bid', { amount: 10 }, { requestId: 'm' })) > 0);
    const outcome = await auction.wait('m', 300000);
    assert.deepEqual([outcome.state, outcome.result], ['done', 10]);
    assert.equal((await auction.result('m')).state, 'done');
    const later = await auction.send('bid', { amount: 20 }, { due: 3600001 });
    assert.equal(await one('SELECT (due_at - sent_at)::text FROM actor.message WHERE message_id = $1', later), '01:00:00.001');
    await auction.send('bid', { amount: 20 }, { due: '2h', failurePolicy: { drop: {} } });
    await assert.rejects(auction.send('bid', { amount: 20 }, { due: -1 }), RangeError);
  },

  async reminders(name) {
    const auction = actors.ref('auction', name);
    const due = new Date('2100-01-01T12:00:00Z');
    await auction.setReminder('close', { due, period: 86400000, firings: 3 });
    const reminder = await auction.getReminder('close');
    assert.deepEqual([new Date(reminder.scheduled_at), reminder.remaining, reminder.method], [due, 3, 'close']);
    await auction.setReminder('more', { due: '1h', period: '@daily', data: { amount: 3 }, method: 'bid', catchUp: 'skip' });
    await assert.rejects(auction.setReminder('more', { due: '1h', data: { amount: 3 }, method: 'bid', overwrite: false }), code('42710'));
    assert.deepEqual([await auction.deleteReminder('close'), await auction.deleteReminder('close')], [true, false]);
    assert.equal(await auction.getReminder('close'), null);
    await auction.setTimer('close', { due: 3600000 });
    assert.equal(await auction.deleteTimer('close'), true);
  },

  async traces(name) {
    const auction = new Actors(pool, { traceparent: () => TRACE }).ref('auction', name);
    assert.equal(await auction.trace(), TRACE);
    assert.equal(await auction.with({ traceparent: undefined }).trace(), '');
    const sent = await auction.send('bid', { amount: 10 }, { due: '1h' });
    assert.equal(await one('SELECT traceparent FROM actor.message WHERE message_id = $1', sent), TRACE);
    assert.equal(await actors.ref('auction', name).trace(), '');
  },

  async 'other attempts'(name) {
    let effects = 0;
    for (const sqlstate of ['40P01', '55P03', '40001']) {
      await evenCalls();
      assert.equal(await actors.ref('flaky', name).fail({ code: sqlstate }), ++effects);
    }
    await evenCalls();
    await assert.rejects(actors.ref('flaky', name).fail({ code: '23514' }), code('23514'));
    await evenCalls();
    await assert.rejects(new Actors(pool, { retries: 0 }).ref('flaky', name).fail({ code: '40P01' }), code('40P01'));
  },

  async 'no other attempt in a transaction'(name) {
    const client = await pool.connect();
    await client.query('BEGIN');
    await evenCalls();
    const inside = actors.on(client).ref('flaky', name);
    await assert.rejects(inside.fail({ code: '40P01' }), code('40P01'));
    await assert.rejects(inside.effects(), code('25P02'));
    await client.query('ROLLBACK');
    client.release();
    let attempts = 0;
    await evenCalls();
    assert.equal(await actors.run(async (all) => {
      attempts++;
      await all.ref('flaky', name).fail({ code: '40001' });
      return all.ref('flaky', name).effects();
    }), 1);
    assert.equal(attempts, 2);
  },

  async 'lost connections'(name) {
    const actor = actors.ref('flaky', name);
    await evenCalls();
    await assert.rejects(actor.die());
    await evenCalls();
    assert.equal(await actor.with({ requestId: 'once' }).die(), 1);
    assert.equal(await actor.with({ requestId: 'once' }).die(), 1);
    await evenCalls();
    assert.equal(await actors.run((inside) => inside.ref('flaky', name).die(), { repeatable: true }), 2);
    assert.equal(await actor.effects(), 2);
  },

  async stubs(name) {
    const auction = new Auction(actors, name);
    assert.equal(await auction.bid({ amount: 10 }), 10);
    assert.equal(await auction.bid({ amount: 20, bidder: 'bob' }), 20);
    assert.deepEqual([await auction.top(), await auction.bidders(), await auction.bidders({ pattern: 'x' })], [20, ['bob'], []]);
    assert.deepEqual(await auction.echo([1]), [1]);
    assert.equal(await auction.with({ traceparent: TRACE }).trace(), TRACE);
    assert.equal(await auction.class({ x: 5 }), 5);
  },

  async 'prepared statements'(name) {
    const prepared = new Actors(pool, { prepare: true }).ref('auction', name);
    await prepared.bid({ amount: 10 });
    await prepared.bid({ amount: 20 });
    await Promise.all([1, 2, 3].map(() => prepared.top()));
    const { rows } = await pool.query("SELECT name FROM pg_prepared_statements WHERE statement LIKE '%actor_invoke%'");
    assert.ok(rows.length > 0 && rows.every((row) => row.name.length === 45));
  },

  async 'behind a pooler'(name) {
    if (process.env.POOLED === undefined) return;
    const [host, port, user] = process.env.POOLED.split(' ').map((word) => word.split('=')[1]);
    const pooled = new pg.Pool({ host, port: Number(port), user, database: 'postgres', max: 6 });
    const auctions = [1, 2, 3, 4, 5, 6].map((n) => new Actors(pooled, { traceparent: TRACE }).ref('auction', `${name} ${n}`));
    for (let amount = 1; amount <= 20; amount++) await Promise.all(auctions.map((auction) => auction.bid({ amount })));
    await pooled.end();
  },
};

for (const [name, test] of Object.entries(tests)) {
  await test(name);
  console.log('ok', name);
}
await pool.end();
console.log('all done');
