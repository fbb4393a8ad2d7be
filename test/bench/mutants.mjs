/**
 * `npm run mutants [-- --only limiter]`: breaks one promise at a time in a copy of the program and runs the tests that
 * `test/INVARIANTS.md` names for it, those of `npm test` first, and says which run notices it. A mutant that no test notices is
 * a gap, and so is one whose place in the code is gone.
 */
import { spawnSync } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { options } from './harness.mjs';

/** name, file, the code as it is, the code broken, the tests that must fail (and of them, which alone). */
const MUTANTS = [
  ['a tenant in two shards is counted twice', 'src/query/reader.ts', '    await requireOwnTenants(dataDir, await tenantsIn(connection, shards));\n', '', 'test/commands/shards-that-do-not-fit.test.ts'],
  ['shards of two numbers are added up', 'src/query/shards.ts', '  if (!reshard) await requireOneNumber(shared);\n', '', 'test/commands/shards-that-do-not-fit.test.ts'],
  ['windows overlap by their last instant', 'src/extract/source/kql.ts', 'and timestamp < ${datetimeLiteral(to)}', 'and timestamp <= ${datetimeLiteral(to)}', 'test/pipeline/sync.test.ts', 'two pages meet'],
  ['one call more than the limit', 'src/extract/source/sliding-minute.ts', 'limitAt(nowMs) + 1', 'limitAt(nowMs)', 'test/extract/source/limiter.test.ts'],
  ['a call forgotten with its end', 'src/extract/source/sliding-minute.ts', 'call.endedMs + WINDOW_MS > nowMs', 'call.endedMs > nowMs', 'test/extract/source/limiter.test.ts'],
  ['a name before its bytes', 'src/kernel/files.ts', '  await syncPath(temporary, files);\n', '', 'test/campaigns/soak/kills.test.ts', 'order of durability'],
  ['a name that was not flushed', 'src/kernel/files.ts', '  await syncPath(dirname(path), files);\n}\n\n/** Writes a small', '}\n\n/** Writes a small', 'test/campaigns/soak/kills.test.ts', 'order of durability'],
  ['copies of a page stay', 'src/load/merge/copies.ts', 'where place > 1', 'where place > 2', 'test/load/merge/merge.test.ts'],
  ['rows of one id taken for copies', 'src/load/merge/copies.ts', 'repeated.id, ${contentHashSql(table)}, ${DIGEST_COLUMN}', 'repeated.id', 'test/load/merge/merge.test.ts'],
  ['copies across batches stay', 'src/load/merge/copies.ts', 'coalesce(old.digest = ${DIGEST_COLUMN}, true)', 'false', 'test/load/merge/replay.test.ts'],
  ['content not compared', 'src/model/fingerprint.ts', '|| a.content === b.content)', '|| a.rows === b.rows)', 'test/pipeline/content.test.ts'],
  ['content of a page not checked', 'src/load/merge/staging.ts', '  if (!acceptAltered) {', '  if (!acceptAltered && rows < 0) {', 'test/pipeline/content.test.ts'],
  ['a full page taken for a whole one', 'src/extract/source/kql.ts', 'partQuery(table, lines, rowCap + 1, options, page.slice)', 'partQuery(table, lines, rowCap, options, page.slice)', 'test/extract/fetch/learning.test.ts', 'not counted'],
  ['the first row of a slice left out', 'src/extract/source/kql.ts', 'where place >= ${whole(from)}', 'where place > ${whole(from)}', 'test/extract/fetch/learning.test.ts', 'hides none of them'],
  ['rows counted, not proven', 'src/load/ledger/hours.ts', "grade === 'count' ? 'account.n = source.n'", "grade !== 'none' ? 'account.n = source.n'", 'test/load/ledger/hours.test.ts'],
  ['a landed page asked again', 'src/extract/fetch/fetch.ts', 'if (landed) return landedPages([landed]);', 'if (landed && page.id === "") return landedPages([landed]);', 'test/extract/fetch/fetch.test.ts'],
  ['no guard against mass loss', 'src/load/merge/mass-loss.ts', 'if (!isMassLoss(removed, rows, guardsOf(ledger.settings, tenant).deletes)) continue;', 'continue;', 'test/load/merge/merge.test.ts'],
  ['the loss of a day judged by the whole month', 'src/load/merge/mass-loss.ts', 'const rows = rowsOf.get(day) ?? 0;', 'const rows = 31 * (rowsOf.get(day) ?? 0);', 'test/load/merge/months.test.ts'],
  ['a day that is due with its file', 'src/load/marts/days.ts', 'case when is_known_by_file then coalesce(by_day.sha256, by_month.sha256) end', 'coalesce(by_day.sha256, by_month.sha256)', 'test/load/marts/days.test.ts'],
  ['a day that is not due under other privacy rules', 'src/load/marts/days.ts', 'hash(promotion, privacy)', 'hash(promotion)', 'test/load/marts/days.test.ts'],
  ['drift that does not see the days of a month', 'src/transform/shapes.ts', 'select nth, moment::date as day', 'select nth, null::date as day', 'test/load/merge/months.test.ts'],
  ['a month that is split without proof', 'src/load/maintenance/rearrange.ts', '  await requireSameHours(ledger, key, month);\n', '', 'test/load/maintenance/split.test.ts'],
  ['one rejection weakens a proof', 'src/extract/compare/reconcile.ts', ': [first, again];', ': [first];', 'test/pipeline/proof.test.ts'],
  ['any 400 rejects the query', 'src/extract/source/retry.ts', 'if (!REJECTION.test(text)) return false;', 'if (text !== query) return true;', 'test/pipeline/proof.test.ts test/extract/source/retry.test.ts'],
  ['a weaker comparison replaces a better proof', 'src/load/ledger/hours.ts', "was_grade in (${sqlTexts(betterGrades(grade))}) and is_equal", "was_grade in (null) and is_equal", 'test/load/ledger/hours.test.ts'],
  ['a short page merged without a second count', 'src/extract/fetch/recount.ts', 'rows >= expectedRows(parts, isIncomplete)', 'rows >= 0', 'test/extract/fetch/fetch.test.ts'],
  ['an empty source taken for erasures', 'src/extract/compare/diff.ts', '(isEmptied || tooMuch(all))', 'tooMuch(all)', 'test/pipeline/missing-rows.test.ts'],
  ['only the clock of the source believed', 'src/pipeline/table-work.ts', 'let last = fromEpochMs(nowMs);', 'let last = view.upper;', 'test/pipeline/clocks.test.ts'],
  ['hours called expired by only the clock of the source', 'src/pipeline/table-work.ts', '(last < view.at ? last : view.at) - BigInt', 'view.at - BigInt', 'test/pipeline/expired.test.ts', 'agrees with'],
  ['a hash range requested without the hash function', 'src/pipeline/plan-pages.ts', "isUnhashed: isWeaker(grade, 'checksum')", 'isUnhashed: false', 'test/pipeline/proof.test.ts', 'without the hash function'],
  ['a cap of bytes taken for one of rows', 'src/extract/fetch/learning.ts', 'if (isByBytes || rows < this.#answered) {', 'if (rows < 0) {', 'test/extract/fetch/learning.test.ts', 'looks like a cap of rows'],
  ['late rows before coverage begins not found', 'src/pipeline/history.ts', 'rotationDays === 0 ? undefined : begins', 'rotationDays === 0 ? begins : undefined', 'test/pipeline/rotation.test.ts'],
  ['older history not compared again', 'src/pipeline/history.ts', 'if (rotationDays === 0 || ', 'if (rotationDays >= 0 || ', 'test/pipeline/rotation.test.ts'],
  ['the centuries after an old default recorded', 'src/pipeline/recorded.ts', 'if (first - hour > LONGEST_GAP) break;', '', 'test/pipeline/recorded.test.ts'],
  ['rows without a possible time fetched only once', 'src/pipeline/timeless.ts', "return key !== (timeless?.[table] ?? '');", 'return key !== "" && timeless?.[table] === undefined;', 'test/pipeline/times.test.ts'],
  ['late rows with old defaults not found', 'src/pipeline/history.ts', 'return from < to ? { from, to } : undefined;', 'return undefined;', 'test/pipeline/times.test.ts'],
  ['the hour before 1970 taken for the first of 1970', 'src/load/ledger/sql.ts', 'const first = DAYS_BEFORE_1970 * DAY_MICROSECONDS;', 'const first = 0 * DAYS_BEFORE_1970;', 'test/pipeline/times.test.ts'],
  ['old files removed at once', 'src/load/publish/publish.ts', 'Math.trunc(ledger.settings.keepHours * 3600)', '0', 'test/load/publish/publish.test.ts'],
  ['redirects followed', 'src/extract/source/call.ts', "redirect: 'manual'", "redirect: 'follow'", 'test/extract/source/client.test.ts'],
  ['a page of another tenant loaded', 'src/load/merge/staging.ts', 'if (!foreign && (lines', 'if ((lines', 'test/load/merge/quarantine.test.ts'],
  ['lines of a page not counted', 'src/load/merge/staging.ts', 'if (lines !== page.rows) {', 'if (lines < 0) {', 'test/load/merge/merge.test.ts test/load/merge/quarantine.test.ts test/campaigns/disk-faults.test.ts'],
  ['openings without the last state', 'queries/openings.sql', '      max(place),\n', '', 'test/load/marts/openings.test.ts', 'many months'],
  ['openings without the state after a week', 'queries/openings.sql', "      max(place) filter (where timestamp <= installed_at + interval '7 days'),\n", '', 'test/load/marts/openings.test.ts', 'many months'],
  ['a part of the openings left out', 'queries/openings.sql', 'where hash(tenant_id, pass_id) % $parts::bigint = $part::bigint\n  and (', 'where hash(tenant_id, pass_id) % $parts::bigint = 0\n  and (', 'test/load/marts/openings.test.ts', 'first load'],
  ['openings without the first removal', 'queries/openings.sql', "      min(place) filter (where kind = 'uninstalled'),\n", '', 'test/load/marts/openings.test.ts', 'many months'],
  ['a gap in the past not seen', 'queries/views/history.sql', 'verified = hours and is_whole', 'verified > 0 and is_whole', 'test/query/kpi/cases.test.ts', 'a gap in the past'],
  ['a control character behind a backslash', 'src/extract/source/envelope.ts', "if (byte < BLANK) throw new EnvelopeError('malformed', 'A string contains a control character.');", "if (byte < BLANK && !escaped) throw new EnvelopeError('malformed', 'A string contains a control character.');", 'test/extract/source/envelope.test.ts', 'is rejected'],
  ['a cap forgotten with the budget', 'src/pipeline/load-batches.ts', 'if (error instanceof BudgetError || error instanceof StoppedError)', 'if (error instanceof StoppedError)', 'test/pipeline/budget.test.ts', 'learns the caps'],
  ['no series of a table that was never loaded', 'src/operate/metrics.ts', '(configured ?? outcomes.tables).map(', 'outcomes.tables.map(', 'test/operate/metrics.test.ts'],
]; // oxfmt-ignore

/** The first run of these with a test that fails, and the tests that fail in it. */
function noticedBy(tests, title) {
  for (const [run, tags] of [['npm test', '!campaign'], ['npm run test:rest', 'campaign && !long'], ['npm run test:long', 'long']]) {
    const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--reporter=json', `--tags-filter=${tags}`, ...tests.split(' ')];
    const { stdout } = spawnSync(process.execPath, title ? [...vitest, '-t', title] : vitest, { cwd: copy, encoding: 'utf8', maxBuffer: 1 << 28 });
    const { testResults } = JSON.parse(stdout.slice(stdout.indexOf('{"num')));
    const results = testResults.flatMap(({ assertionResults }) => assertionResults);
    const failed = results.filter(({ status }) => status === 'failed').map(({ fullName }) => fullName);
    if (failed.length > 0) return { run, failed };
  }
  return undefined;
} // oxfmt-ignore

const { only } = options({ only: '' });
const root = fileURLToPath(new URL('../..', import.meta.url));
const copy = await mkdtemp(join(tmpdir(), 'insights-mutants-'));
let survived = 0;
try {
  for (const name of ['src', 'sandbox', 'dashboard', 'test', 'queries', 'schema', 'deploy', 'docs', 'README.md', 'package.json', 'tsconfig.json', 'vitest.config.ts', 'bundle.mjs'])
    await cp(join(root, name), join(copy, name), { recursive: true }); // oxfmt-ignore
  await symlink(join(root, 'node_modules'), join(copy, 'node_modules'));
  for (const [name, file, is, broken, tests, title] of MUTANTS) {
    if (!name.includes(only)) continue;
    const path = join(copy, file);
    const whole = await readFile(path, 'utf8');
    if (whole.split(is).length !== 2) throw new Error(`"${name}": its place in ${file} is not there, or twice.`);
    await writeFile(
      path,
      whole.replace(is, () => broken),
    );
    const noticed = noticedBy(tests, title);
    await writeFile(path, whole);
    if (noticed)
      console.log(`noticed  ${name}: by ${noticed.run}, ${noticed.failed.length} tests of ${tests} fail, first "${noticed.failed[0]}"`); // oxfmt-ignore
    else console.log(`SURVIVED ${name}: no test of ${tests} fails`);
    if (!noticed) survived++;
  }
} finally {
  await rm(copy, { recursive: true, force: true });
}
console.log(survived === 0 ? 'every mutant is noticed' : `${survived} mutants SURVIVED`);
process.exitCode = survived === 0 ? 0 : 1;
