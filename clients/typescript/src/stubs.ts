#!/usr/bin/env node
// Writes classes with the methods of actor types, as the database knows them:
//
//     pg-actor-stubs postgresql:///shop auction cart > shop-actors.ts
//
// Types that are not named are all that the role may call a method of. Without a
// connection string ("") the variables of the environment say where the database is.

import pg from 'pg';
import { Ref } from './index.js';

interface Method {
  actor_type: string;
  method: string;
  parameters: { name?: string; type: string; default?: string }[];
  result: string | null;
  read_only: boolean;
  comment: string | null;
}

const TYPES: Record<string, string> = {
  smallint: 'number', integer: 'number', bigint: 'number', real: 'number',
  'double precision': 'number', numeric: 'number', boolean: 'boolean', text: 'string',
  'character varying': 'string', character: 'string', name: 'string', uuid: 'string', date: 'string',
  'timestamp with time zone': 'string', 'timestamp without time zone': 'string', interval: 'string',
  json: 'any', jsonb: 'any',
};

/** What a value of that type is in JSON; its size does not matter. */
function typeName(name: string): string {
  if (name.endsWith('[]')) return `(${typeName(name.slice(0, -2))} | null)[]`;
  if (name.startsWith('SETOF ') || name.startsWith('TABLE(')) return 'any[]';
  return TYPES[name.split('(')[0]!.trim()] ?? 'any';
}

const isName = (name: string) => /^[A-Za-z$][\w$]*$/.test(name);

function className(type: string): string {
  return type.split(/[-_]/).map((word) => word.slice(0, 1).toUpperCase() + word.slice(1)).join('');
}

function remark(text: string): string {
  return text.replaceAll('*/', '* /').replaceAll(/\s+/g, ' ');
}

const reserved = new Set([...Object.getOwnPropertyNames(Ref.prototype), 'then']);

/** A method; nothing but a remark if it has no name here. */
function methodText({ method, parameters, result, read_only, comment }: Method): string {
  const name = JSON.stringify(method);

  if (!isName(method) || reserved.has(method)) return `  // ${remark(name)} is called with call()\n`;
  const how = read_only ? 'read' : 'call';
  const returns = result === null || result === 'void' ? 'void' : typeName(result);
  const promise = `Promise<${returns === 'void' || returns === 'any' ? returns : `${returns} | null`}>`;
  const first = parameters[0];
  let payload = '';

  if (first !== undefined && parameters.length === 1 && /^jsonb?$/.test(first.type)) {
    payload = `payload${first.default === undefined ? '' : '?'}: unknown`;
  } else if (parameters.some((p) => p.name === undefined)) {
    payload = 'payload?: unknown[]';
  } else if (first !== undefined) {
    const members = parameters.map((p) =>
      `${JSON.stringify(p.name)}${p.default === undefined ? '' : '?'}: ${typeName(p.type)} | null`);
    const needed = parameters.some((p) => p.default === undefined);
    payload = `payload${needed ? '' : '?'}: { ${members.join('; ')} }`;
  }
  return (comment === null ? '' : `  /** ${remark(comment)} */\n`) +
    `  ${method}(${payload}): ${promise} {\n` +
    `    return this.${how}(${name}${payload === '' ? '' : ', payload'});\n  }\n`;
}

/** The text of a module. */
export function moduleText(methods: Method[]): string {
  let text = '// Made by pg-actor-stubs; changes will be lost.\n' +
    "import { Actors, Options, Ref } from 'pg-actor';\n";

  for (const type of new Set(methods.map((m) => m.actor_type))) {
    const name = className(type);

    if (!isName(name)) {
      text += `\n// type ${remark(JSON.stringify(type))} has no name here; use ref()\n`;
      continue;
    }
    text += `\nexport class ${name} extends Ref {\n` +
      '  constructor(actors: Actors, id: string | number, options?: Options) {\n' +
      `    super(actors, ${JSON.stringify(type)}, id, options);\n  }\n` +
      methods.filter((m) => m.actor_type === type).map((m) => '\n' + methodText(m)).join('') +
      '}\n';
  }
  return text;
}

async function main([connectionString, ...types]: string[]): Promise<void> {
  const client = new pg.Client(connectionString ? { connectionString } : {});

  await client.connect();
  const { rows } = await client.query(
    `SELECT actor_type, method, parameters, result, read_only, comment FROM actor.method
      WHERE callable AND ($1::text[] = '{}' OR actor_type = ANY ($1))
      ORDER BY actor_type COLLATE "C", method COLLATE "C"`, [types]);
  await client.end();
  process.stdout.write(moduleText(rows));
}

await main(process.argv.slice(2));
