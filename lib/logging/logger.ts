// The four-method logger that every process hands down, over winston: one JSON object a line on stdout,
// `time level message component host` and fields (docs/interfaces.md "Log lines").

import { isNativeError } from 'node:util/types';
import winston from 'winston';

/** From the least to the most that is logged. */
export const LOG_LEVELS = ['error', 'warn', 'info', 'debug'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
export type LogFields = Readonly<Record<string, unknown>>;

/** Message constant and lower case; what varies goes into fields. */
export interface Logger {
  error(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
  /** A logger whose lines carry these fields too. */
  child(fields: LogFields): Logger;
  /** Guards the building of expensive debug fields. */
  isDebugEnabled(): boolean;
}

export interface LoggerOptions {
  readonly component: string;
  readonly host: string;
  readonly level?: LogLevel;
  /** Where lines go; stdout if left out. Standard error is for programs whose stdout is their answer. */
  readonly destination?: 'stdout' | 'stderr';
}

/** A process's own logger, of which the least level can be changed; its children follow. */
export interface ProcessLogger extends Logger {
  setLevel(level: LogLevel): void;
}

export function createLogger(options: LoggerOptions): ProcessLogger {
  const stderrLevels = options.destination === 'stderr' ? [...LOG_LEVELS] : [];
  const base = winston.createLogger({
    level: options.level ?? 'info',
    levels: { error: 0, warn: 1, info: 2, debug: 3 },
    format: winston.format.printf((entry) => String(entry['line'])),
    transports: [new winston.transports.Console({ stderrLevels })],
  });
  const setLevel = (level: LogLevel): void => {
    base.level = level;
  };
  return { ...wrap(base, { component: options.component, host: options.host }), setLevel };
}

/** A logger that says nothing: for programs and tests in which nobody reads lines. */
export function silentLogger(): Logger {
  const nothing = (): void => {};
  const logger: Logger = {
    error: nothing,
    warn: nothing,
    info: nothing,
    debug: nothing,
    child: () => logger,
    isDebugEnabled: () => false,
  };
  return logger;
}

function wrap(base: winston.Logger, bound: LogFields): Logger {
  const log = (level: LogLevel, message: string, fields?: LogFields): void => {
    if (!base.isLevelEnabled(level)) return;
    // winston appends a `message` found in the metadata to the text, so the whole line is made here.
    const line = JSON.stringify({
      time: new Date().toISOString(),
      level,
      message,
      ...plainFields(bound),
      ...unreserved(plainFields(fields ?? {})),
    });
    base.log({ level, message, line });
  };
  return {
    error: (message, fields) => log('error', message, fields),
    warn: (message, fields) => log('warn', message, fields),
    info: (message, fields) => log('info', message, fields),
    debug: (message, fields) => log('debug', message, fields),
    child: (fields) => wrap(base, { ...bound, ...fields }),
    isDebugEnabled: () => base.isLevelEnabled('debug'),
  };
}

/** What a line is known by is not to be overwritten by one of its fields: such a field gets an underscore. */
const RESERVED: readonly string[] = ['time', 'level', 'message', 'component', 'host'];

function unreserved(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [RESERVED.includes(name) ? `${name}_` : name, value]),
  );
}

function plainFields(fields: LogFields): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, plainValue(value, 0)]));
}

/** JSON.stringify loses errors (`{}`), maps and sets, and throws on bigints. */
function plainValue(value: unknown, depth: number): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (typeof value !== 'object' || value === null) return value;
  if (depth > 4) return '…';
  if (isNativeError(value)) return plainError(value, depth);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'invalid date' : value.toISOString();
  if (value instanceof URL) return value.href;
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (value instanceof Map) return plainValue(Object.fromEntries(value), depth + 1);
  if (value instanceof Set) return plainValue([...value], depth + 1);
  if (Array.isArray(value)) return value.map((entry) => plainValue(entry, depth + 1));
  return Object.fromEntries(
    Object.entries(value).map(([name, entry]) => [name, plainValue(entry, depth + 1)]),
  );
}

function plainError(error: Error, depth: number): Record<string, unknown> {
  const extra = error as Error & { code?: unknown; type?: unknown; errors?: unknown };
  return {
    name: error.name,
    message: error.message,
    ...(extra.code === undefined ? {} : { code: extra.code }),
    ...(extra.type === undefined ? {} : { type: plainValue(extra.type, depth + 1) }),
    ...(extra.errors === undefined ? {} : { errors: plainValue(extra.errors, depth + 1) }),
    ...(error.cause === undefined ? {} : { cause: plainValue(error.cause, depth + 1) }),
    ...(error.stack === undefined ? {} : { stack: error.stack }),
  };
}
