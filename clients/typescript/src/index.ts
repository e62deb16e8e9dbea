// Actors over pools and connections of pg.

import { Argument, Call, mayTryAgain, Options, pause, period, statement, Statement, when, When } from './calls.js';

export type { Options, When } from './calls.js';

/** What is used of a connection of pg. */
export interface Client {
  query(statement: Statement): Promise<{ rows: any[] }>;
  query(text: string): Promise<unknown>;
}

interface PoolClient extends Client {
  release(destroy?: boolean): void;
  on(event: 'error', listener: (error: Error) => void): unknown;
  removeListener(event: 'error', listener: (error: Error) => void): unknown;
}

/** What is used of a pool of pg. */
export interface Pool {
  connect(): Promise<PoolClient>;
}

export interface Outcome {
  state: 'pending' | 'done' | 'failed' | 'cancelled' | null;
  result: any;
  error: { sqlstate: string; message: string; detail?: string } | null;
  finished_at: string | null;
}

export interface SendOptions {
  due?: When;
  requestId?: string;
  failurePolicy?: object;
}

export interface TimerOptions {
  due?: When;
  period?: When;
  ttl?: When;
  firings?: number;
  data?: unknown;
  method?: string;
  overwrite?: boolean;
}

export interface ReminderOptions extends TimerOptions {
  failurePolicy?: object;
  catchUp?: 'one' | 'all' | 'skip';
}

/** An actor, of which every other property is a method: `ref.bid({ amount: 10 })`. */
export type AnyRef = Ref & { [method: string]: (payload?: unknown) => Promise<any> };

const ignore = () => {};

/** The actors of a database. */
export class Actors {
  readonly options: Options;
  readonly #pool: Pool | undefined;
  readonly #readers: Pool | undefined;
  readonly #client: Client | undefined;

  /** `readers` is a pool for calls that only read, of a standby perhaps. */
  constructor(pool: Pool, options: Options & { readers?: Pool } = {}, client?: Client) {
    const { readers, ...rest } = options;

    this.options = rest;
    this.#pool = pool;
    this.#readers = readers;
    this.#client = client;
  }

  /** An actor; it need not have been created. */
  ref(actorType: string, actorId: string | number): AnyRef {
    const ref = new Ref(this, actorType, actorId);

    return withMethods(ref);
  }

  /** The same actors, called in the transaction of a connection, without other attempts. */
  on(client: Client): Actors {
    return new Actors(this.#pool!, this.options, client);
  }

  /**
   * Runs work(actors) in a transaction, and again if that has been ended by what another
   * attempt may get over; then all of it is done again. With repeatable also when the
   * connection was lost and nobody knows whether it has committed.
   */
  async run<T>(work: (actors: Actors) => Promise<T>, { repeatable = false } = {}): Promise<T> {
    if (this.#client !== undefined) return work(this);
    return this.#attempts(this.#pool!, repeatable, async (client) => {
      await client.query('BEGIN');
      try {
        const result = await work(this.on(client));
        await client.query('COMMIT');
        return result;
      } catch (error) {
        await client.query('ROLLBACK').catch(ignore);
        throw error;
      }
    });
  }

  /** Makes one call. */
  async execute(call: Call, options: Options): Promise<any> {
    const made = statement(call, options, this.#client === undefined);
    const work = async (client: Client) => (await client.query(made)).rows[0][0];

    if (this.#client !== undefined) return work(this.#client);
    const pool = call.read && this.#readers !== undefined ? this.#readers : this.#pool!;
    return this.#attempts(pool, call.repeatable ?? false, work);
  }

  async #attempts<T>(pool: Pool, repeatable: boolean, work: (client: Client) => Promise<T>): Promise<T> {
    for (let attempt = 0; ; attempt++) {
      const connection = { lost: true };

      try {
        return await onConnection(pool, connection, work);
      } catch (error) {
        if (attempt >= (this.options.retries ?? 8) || !mayTryAgain(error, repeatable, connection.lost)) {
          throw error;
        }
      }
      await new Promise((resolve) => setTimeout(resolve, pause(attempt)));
    }
  }
}

/** Works with a connection of a pool, and tells whether there was none or it was lost. */
async function onConnection<T>(
  pool: Pool, connection: { lost: boolean }, work: (client: Client) => Promise<T>,
): Promise<T> {
  const client = await pool.connect();
  // a connection that is lost says so here, too, and without a listener ends the process
  const listener = () => { connection.lost = true; };

  connection.lost = false;
  client.on('error', listener);
  try {
    return await work(client);
  } catch (error) {
    if ((error as { severity?: string }).severity === 'FATAL') connection.lost = true;
    throw error;
  } finally {
    client.removeListener('error', listener);
    client.release(connection.lost);
  }
}

/** An actor. */
export class Ref {
  readonly #actors: Actors;
  readonly #type: string;
  readonly #id: string;
  #options: Options;

  constructor(actors: Actors, actorType: string, actorId: string | number, options?: Options) {
    this.#actors = actors;
    this.#type = actorType;
    this.#id = String(actorId);
    this.#options = options ?? actors.options;
  }

  #execute(name: string, more: Record<string, Argument>, rest: Partial<Call> = {}): Promise<any> {
    const args = { actor_type: ['text', this.#type], actor_id: ['text', this.#id], ...more } as const;

    return this.#actors.execute({ name, arguments: args, ...rest }, this.#options);
  }

  /** The same actor with other options: `requestId`, `traceparent`, `prepare`. */
  with(changes: Options): this {
    const made = new (this.constructor as any)(this.#actors, ...this.identity()) as Ref;

    made.#options = { ...this.#options, ...changes };
    return (this.constructor === Ref ? withMethods(made) : made) as this;
  }

  /** What the constructor takes after the actors. */
  protected identity(): unknown[] {
    return this.constructor === Ref ? [this.#type, this.#id] : [this.#id];
  }

  /** Calls a method. With a request id it happens once, however often it is called. */
  async call(method: string, payload?: unknown, options: { requestId?: string; reentrancyId?: string } = {}): Promise<any> {
    const requestId = options.requestId ?? this.#options.requestId;

    return this.#execute('actor_invoke', {
      method: ['text', method],
      payload: ['jsonb', payload],
      reentrancy_id: ['uuid', options.reentrancyId],
      request_id: ['text', requestId],
    }, { repeatable: requestId !== undefined });
  }

  /**
   * Calls a method that only reads; at a reader, if there are some. Outside of a
   * transaction of the caller it refuses others (SQLSTATE 25006).
   */
  async read(method: string, payload?: unknown): Promise<any> {
    return this.#execute('actor_invoke', { method: ['text', method], payload: ['jsonb', payload] },
      { read: true, repeatable: true });
  }

  /** Sends a message, which calls the method once this has committed; its id. */
  async send(method: string, payload?: unknown, options: SendOptions = {}): Promise<string> {
    const requestId = options.requestId ?? this.#options.requestId;

    return this.#execute('actor_send', {
      method: ['text', method],
      payload: ['jsonb', payload],
      due_time: ['text', when(options.due)],
      request_id: ['text', requestId],
      failure_policy: ['jsonb', options.failurePolicy],
    }, { repeatable: requestId !== undefined });
  }

  /** What has become of a request. */
  async result(requestId: string): Promise<Outcome> {
    return this.#execute('actor_result', { request_id: ['text', requestId] },
      { read: true, repeatable: true, row: true });
  }

  /** The same, once it is no longer pending, or the milliseconds are over. */
  async wait(requestId: string, timeout = 60000): Promise<Outcome> {
    return this.#execute('actor_wait', { request_id: ['text', requestId], timeout: ['interval', `${timeout} ms`] },
      { read: true, repeatable: true, row: true });
  }

  /** Has a method called later, by a worker. */
  async setReminder(name: string, options: ReminderOptions = {}): Promise<void> {
    await this.#execute('actor_set_reminder', {
      ...due(name, options),
      failure_policy: ['jsonb', options.failurePolicy],
      catch_up: ['text', options.catchUp],
    });
  }

  async getReminder(name: string): Promise<any> {
    return this.#execute('actor_get_reminder', { name: ['text', name] }, { read: true, repeatable: true });
  }

  async deleteReminder(name: string): Promise<boolean> {
    return this.#execute('actor_delete_reminder', { name: ['text', name] });
  }

  /** The same for as long as the actor is active. */
  async setTimer(name: string, options: TimerOptions = {}): Promise<void> {
    await this.#execute('actor_set_timer', due(name, options));
  }

  async deleteTimer(name: string): Promise<boolean> {
    return this.#execute('actor_delete_timer', { name: ['text', name] });
  }
}

function due(name: string, options: TimerOptions): Record<string, Argument> {
  return {
    name: ['text', name],
    due_time: ['text', when(options.due)],
    period: ['text', period(options.period, options.firings)],
    ttl: ['text', when(options.ttl)],
    data: ['jsonb', options.data],
    method: ['text', options.method],
    overwrite: ['boolean', options.overwrite],
  };
}

/** The same actor, of which what is no property is a method of the actor. */
function withMethods(ref: Ref): AnyRef {
  return new Proxy(ref, {
    get(target, name) {
      // who awaits a reference asks whether it has "then"
      if (typeof name === 'symbol' || name === 'then') return undefined;
      const own = (target as any)[name];

      if (typeof own === 'function') return own.bind(target);
      return own ?? ((payload?: unknown) => target.call(name, payload));
    },
  }) as AnyRef;
}
