// Results of policy tests as text for people, as TAP 13, and as JUnit's XML.

import type { TestResult } from './run.ts';

/** The results of one file. */
export interface FileResults {
  readonly file: string;
  readonly results: readonly PlacedResult[];
  readonly durationMs: number;
}

export interface PlacedResult extends TestResult {
  /** `shop.test.yaml:12`. */
  readonly place: string;
}

export type ReportFormat = 'text' | 'tap' | 'junit';

export function renderReport(format: ReportFormat, files: readonly FileResults[]): string {
  switch (format) {
    case 'text':
      return renderText(files);
    case 'tap':
      return renderTap(files);
    case 'junit':
      return renderJunit(files);
  }
}

function renderText(files: readonly FileResults[]): string {
  const all = files.flatMap(({ results }) => results);
  const failed = all.filter(({ ok }) => !ok);
  const lines = failed.flatMap(({ name, place, message = '', explanation = '' }) => [
    `✗ ${name}  ${place}`,
    `  ${message}`,
    ...indented(explanation, '    '),
    '',
  ]);
  const duration = files.reduce((sum, { durationMs }) => sum + durationMs, 0);
  const failures = failed.length === 0 ? '' : `${failed.length} failed, `;
  const skipped = all.filter((result) => result.skipped !== undefined);
  for (const { name, place, skipped: reason } of skipped) lines.push(`- ${name}  ${place}: ${reason ?? ''}`);
  const passed = all.length - failed.length - skipped.length;
  const notAsked = skipped.length === 0 ? '' : `, ${skipped.length} not asked`;
  lines.push(
    `${failures}${passed} passed${notAsked} in ${files.length} ${files.length === 1 ? 'file' : 'files'} (${Math.round(duration)} ms)`,
  );
  return `${lines.join('\n')}\n`;
}

function indented(text: string, indent: string): string[] {
  if (text === '') return [];
  return text
    .trimEnd()
    .split('\n')
    .map((line) => (line === '' ? '' : `${indent}${line}`));
}

/** https://testanything.org/tap-version-13-specification.html */
function renderTap(files: readonly FileResults[]): string {
  const all = files.flatMap(({ results }) => results);
  const lines = all.flatMap(({ ok, name, place, message, explanation, skipped }, index) => {
    const head = `${ok ? 'ok' : 'not ok'} ${index + 1} - ${name.replaceAll('#', '\\#')}`;
    if (skipped !== undefined) return [`${head} # SKIP ${skipped}`];
    if (ok) return [head];
    return [
      head,
      '  ---',
      `  message: ${JSON.stringify(message ?? '')}`,
      `  at: ${JSON.stringify(place)}`,
      ...(explanation === undefined ? [] : ['  explanation: |', ...indented(explanation, '    ')]),
      '  ...',
    ];
  });
  return `${['TAP version 13', `1..${all.length}`, ...lines].join('\n')}\n`;
}

function renderJunit(files: readonly FileResults[]): string {
  const suites = files.map(({ file, results, durationMs }) => {
    const errors = results.filter(({ unaskable }) => unaskable === true).length;
    const failures = results.filter(({ ok }) => !ok).length - errors;
    const skipped = results.filter((result) => result.skipped !== undefined).length;
    const cases = results.map((result) => junitCase(file, result));
    const time = (durationMs / 1000).toFixed(3);
    return [
      `  <testsuite name=${attribute(file)} tests="${results.length}" failures="${failures}" errors="${errors}" skipped="${skipped}" time="${time}">`,
      ...cases,
      '  </testsuite>',
    ].join('\n');
  });
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n${suites.join('\n')}\n</testsuites>\n`;
}

function junitCase(file: string, result: PlacedResult): string {
  const { ok, name, place, message, explanation, unaskable, skipped } = result;
  const head = `    <testcase classname=${attribute(file)} name=${attribute(name)}`;
  if (skipped !== undefined)
    return `${head}>\n      <skipped message=${attribute(skipped)}/>\n    </testcase>`;
  if (ok) return `${head}/>`;
  const text = escapeXml(`${place}\n${explanation ?? ''}`);
  // As there: a failure is a verdict that was not expected, an error is that there is none.
  const tag = unaskable === true ? 'error' : 'failure';
  return `${head}>\n      <${tag} message=${attribute(message ?? '')}>${text}</${tag}>\n    </testcase>`;
}

function attribute(text: string): string {
  return `"${escapeXml(text).replaceAll('"', '&quot;').replaceAll('\n', '&#10;')}"`;
}

/** Characters that XML 1.0 cannot have are left out. */
function escapeXml(text: string): string {
  return text
    .replaceAll(/[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/gu, '')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;');
}
