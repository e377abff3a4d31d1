// Descriptions of interfaces (OpenAPI), read for people: operations with what they take, what they answer, and a line to try each.

type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

export interface Schema {
  $ref?: string;
  type?: string | string[];
  description?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  enum?: Json[];
  example?: Json;
  default?: Json;
  oneOf?: Schema[];
  anyOf?: Schema[];
  allOf?: Schema[];
  additionalProperties?: boolean | Schema;
}

interface Media {
  schema?: Schema;
  example?: Json;
}

interface Response {
  $ref?: string;
  description?: string;
  content?: Record<string, Media>;
}

interface Parameter {
  $ref?: string;
  name: string;
  in: 'path' | 'query' | 'header' | 'cookie';
  required?: boolean;
  description?: string;
  schema?: Schema;
}

interface Raw {
  summary?: string;
  description?: string;
  tags?: string[];
  parameters?: Parameter[];
  requestBody?: { $ref?: string; content?: Record<string, Media> };
  responses?: Record<string, Response>;
}

export interface Description {
  info?: { title?: string; description?: string };
  paths?: Record<string, Record<string, Raw | Parameter[]>>;
  components?: Record<string, Record<string, Json>>;
}

export interface Answer {
  status: string;
  about: string;
  kind: string;
  shape: string;
}

export interface Operation {
  id: string;
  method: string;
  path: string;
  title: string;
  about: string;
  parameters: { name: string; place: string; kind: string; required: boolean; about: string }[];
  body: { kind: string; shape: string; example: string } | null;
  answers: Answer[];
  curl: string;
}

const METHODS = ['get', 'head', 'post', 'put', 'patch', 'delete', 'options'];
/** Schemas in schemas: what lies deeper is named and not shown. */
const DEPTH = 5;

/** All operations of a description, in its order. */
export function operations(of: Description, base: string): Operation[] {
  return Object.entries(of.paths ?? {}).flatMap(([path, item]) =>
    METHODS.flatMap((method) => {
      const raw = item[method];
      return raw && !Array.isArray(raw) ? [operation(of, base, method, path, raw, item['parameters'])] : [];
    }),
  );
}

function operation(of: Description, base: string, method: string, path: string, raw: Raw, shared: unknown): Operation {
  const all = [...(Array.isArray(shared) ? (shared as Parameter[]) : []), ...(raw.parameters ?? [])].map((one) => found(of, one));
  const body = raw.requestBody ? content(of, found(of, raw.requestBody).content) : null;
  const [title = '', ...rest] = (raw.summary ?? raw.description ?? '').split('\n');
  const more = raw.summary ? (raw.description ?? '') : rest.join('\n');
  return {
    id: `${method}-${path.replace(/[^a-z0-9]+/gi, '-').replace(/^-|-$/g, '')}`,
    method: method.toUpperCase(),
    path,
    title: title.replace(/\.$/, ''),
    about: more.trim(),
    parameters: all.map((one) => ({
      name: one.name,
      place: one.in,
      kind: kind(of, one.schema ?? {}),
      required: one.required === true,
      about: one.description ?? '',
    })),
    body,
    answers: Object.entries(raw.responses ?? {}).map(([status, told]) => {
      const response = found(of, told);
      const is = content(of, response.content);
      return { status, about: response.description ?? '', kind: is?.kind ?? '', shape: is?.shape ?? '' };
    }),
    curl: curl(base, method, path, body?.example ?? null),
  };
}

/** What a reference leads to; anything else as it is. */
function found<T extends { $ref?: string }>(of: Description, at: T): T {
  let now: unknown = of;
  if (!at.$ref?.startsWith('#/')) return at;
  for (const part of at.$ref.slice(2).split('/')) now = (now as Record<string, unknown> | undefined)?.[part];
  return (now as T | undefined) ?? at;
}

function content(of: Description, media: Record<string, Media> | undefined): { kind: string; shape: string; example: string } | null {
  const first = Object.entries(media ?? {})[0];
  if (!first) return null;
  const [kind, { schema, example }] = first;
  const json = kind.endsWith('json');
  const sampled = example ?? (schema ? sample(of, schema) : null);
  return { kind, shape: json && schema ? shape(of, schema) : '', example: json ? JSON.stringify(sampled) : '' };
}

function types(schema: Schema): string[] {
  const told = schema.type ?? (schema.properties ? 'object' : schema.items ? 'array' : 'any');
  return Array.isArray(told) ? told : [told];
}

function name(schema: Schema): string | null {
  return schema.$ref?.split('/').pop() ?? null;
}

/** A schema's kind in a word or two. */
export function kind(of: Description, told: Schema): string {
  const schema = found(of, told);
  if (schema.enum) return schema.enum.map((one) => JSON.stringify(one)).join(' | ');
  const some = schema.oneOf ?? schema.anyOf;
  if (some) return [...new Set(some.map((one) => name(one) ?? kind(of, one)))].join(' | ');
  return types(schema).map((type) => (type === 'array' ? `${kind(of, schema.items ?? {})}[]` : type)).join(' | ');
}

/** A schema as a document is written, with kinds in place of values, and `?` after what may be absent. */
export function shape(of: Description, told: Schema, depth = 0): string {
  const schema = found(of, told);
  if (depth > DEPTH) return name(told) ?? kind(of, schema);
  const some = schema.oneOf ?? schema.anyOf;
  if (some) return some.map((one) => shape(of, one, depth + 1)).join(' | ');
  if (schema.allOf) return shape(of, schema.allOf.reduce((all, one) => merged(all, found(of, one)), {} as Schema), depth);
  if (schema.items) return `[ ${shape(of, schema.items, depth + 1)} ]`;
  const inner = Object.entries(schema.properties ?? {});
  if (!inner.length) return kind(of, schema);
  const pad = '  '.repeat(depth + 1);
  const lines = inner.map(([field, one]) => {
    const may = schema.required?.includes(field) ? '' : '?';
    const why = found(of, one).description?.split('\n')[0];
    return `${pad}${field}${may}: ${shape(of, one, depth + 1)}${why ? `  // ${why}` : ''}`;
  });
  return `{\n${lines.join('\n')}\n${'  '.repeat(depth)}}`;
}

function merged(all: Schema, one: Schema): Schema {
  return { properties: { ...all.properties, ...one.properties }, required: [...(all.required ?? []), ...(one.required ?? [])] };
}

/** A document of a schema: with what must be there. */
export function sample(of: Description, told: Schema, depth = 0): Json {
  const schema = found(of, told);
  if (schema.example !== undefined) return schema.example;
  if (schema.default !== undefined) return schema.default;
  if (schema.enum) return schema.enum[0] ?? null;
  if (depth > DEPTH) return null;
  const some = schema.oneOf ?? schema.anyOf;
  if (some) return sample(of, some.find((one) => !types(found(of, one)).includes('null')) ?? {}, depth + 1);
  if (schema.allOf) return sample(of, schema.allOf.reduce((all, one) => merged(all, found(of, one)), {} as Schema), depth);
  const type = types(schema).find((one) => one !== 'null');
  if (type === 'object') {
    const must = Object.entries(schema.properties ?? {}).filter(([field]) => schema.required?.includes(field));
    return Object.fromEntries(must.map(([field, one]) => [field, sample(of, one, depth + 1)]));
  }
  if (type === 'array') return [sample(of, schema.items ?? {}, depth + 1)];
  if (type === 'integer' || type === 'number') return 1;
  if (type === 'boolean') return true;
  return type === 'string' ? '...' : null;
}

/** A line for a shell. What is in braces is for the reader to fill in. */
function curl(base: string, method: string, path: string, body: string | null): string {
  const verb = { get: '', head: ' -I', post: body ? '' : ' -X POST' }[method] ?? ` -X ${method.toUpperCase()}`;
  const sent = body ? ` --json '${body.replace(/'/g, `'\\''`)}'` : '';
  return `curl${verb} -H "authorization: Bearer $TOKEN"${sent} '${base}${path}'`;
}
