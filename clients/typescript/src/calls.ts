// What a call is, in SQL, and when it may be repeated: all that needs no connection.

import { createHash } from 'node:crypto';

/** What goes for all calls of one object. */
export interface Options {
  /** Schema of the functions of the extension, if it is not in the search_path. */
  schema?: string;
  /** How often a transaction is tried again; 8. */
  retries?: number;
  /** Whether statements are prepared; not behind a pooler that does not follow them. */
  prepare?: boolean;
  /** A W3C traceparent, or what returns the current one. */
  traceparent?: string | (() => string | undefined);
  /** Makes a call or a message happen once. */
  requestId?: string;
}

/** An instant, milliseconds from now, or a text as the extension knows it. */
export type When = Date | number | string;

export type Argument = readonly [type: string, value: unknown];

/** One function of the extension with its arguments, by name. */
export interface Call {
  name: string;
  arguments: Record<string, Argument>;
  /** It only reads. */
  read?: boolean;
  /** It can be made again even if nobody knows whether it has had an effect. */
  repeatable?: boolean;
  /** It returns a row. */
  row?: boolean;
}

export interface Statement {
  text: string;
  values: unknown[];
  name?: string;
  rowMode: 'array';
}

function identifier(name: string): string {
  return '"' + name.replaceAll('"', '""') + '"';
}

/**
 * The statement. One that is alone in its transaction also makes that read-only if
 * nothing is to be written.
 */
export function statement(call: Call, options: Options, alone: boolean): Statement {
  const values: unknown[] = [];
  const value = (v: unknown) => '$' + values.push(v);
  const settings: [string, string][] = [];
  const trace = typeof options.traceparent === 'function' ? options.traceparent() : options.traceparent;

  if (trace !== undefined) settings.push(['actor.traceparent', trace]);
  if (call.read && alone) settings.push(['transaction_read_only', 'on']);
  const before = settings.map(
    ([name, text]) => `pg_catalog.set_config(${value(name)}, ${value(text)}, true)`,
  );
  const given = Object.entries(call.arguments).filter(([, [, v]]) => v !== undefined);
  const list = given.map(([name, [type, v]]) =>
    `${identifier(name)} => ${value(type === 'jsonb' && v !== null ? JSON.stringify(v) : v)}::${type}`);
  const name = (options.schema === undefined ? '' : identifier(options.schema) + '.') + call.name;
  let text = `${name}(${list.join(', ')})`;

  if (call.row) text = `pg_catalog.to_jsonb(${text})`;
  // what is in WITH is done before the call, since that needs its row
  text = before.length === 0 ? 'SELECT ' + text
    : `WITH settings AS MATERIALIZED (SELECT ${before.join(', ')}) SELECT ${text} FROM settings`;
  if (!options.prepare) return { text, values, rowMode: 'array' };
  return { text, values, rowMode: 'array', name: 'actor' + createHash('sha1').update(text).digest('hex') };
}

/** An instant or a duration in a text form that the extension knows. */
export function when(value: When | undefined): string | undefined {
  if (value instanceof Date) return value.toISOString();
  if (typeof value !== 'number') return value;
  if (!(value >= 0)) throw new RangeError('a duration must not be negative');
  return value % 1000 === 0 ? `PT${value / 1000}S` : `${value}ms`;
}

export function period(value: When | undefined, firings: number | undefined): string | undefined {
  const text = when(value);
  return firings === undefined ? text : `R${firings}/${text}`;
}

// the transaction has had no effect, and another attempt may go better
const AGAIN = new Set(['40P01', '55P03', '40001']);
// the server has gone away, and nobody knows whether the transaction has committed
const LOST = new Set(['57P01', '57P02', '57P03']);

/**
 * Whether what has ended with this error, in a transaction of its own, has had no effect;
 * or can be repeated even if it had, because the connection was lost.
 */
export function mayTryAgain(error: unknown, repeatable: boolean, lost: boolean): boolean {
  const { code, severity } = error as { code?: string; severity?: string };

  if (severity === undefined || code === undefined) return repeatable && lost;
  return AGAIN.has(code) || (repeatable && (LOST.has(code) || code.startsWith('08')));
}

const FIRST_PAUSE = 10;
const LONGEST_PAUSE = 1000;

/** How many milliseconds to wait before an attempt, the first one after the error being 0. */
export function pause(attempt: number): number {
  return Math.random() * Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** attempt);
}
