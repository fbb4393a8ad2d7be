/** A source that lost too many rows at once: what a run does not remove from the lake. */
import { massLoss } from '../extract/compare/diff.ts';
import type { Diff } from '../extract/compare/diff.ts';
import type { SourceView } from '../extract/compare/reconcile.ts';
import { MassLossError } from '../kernel/errors.ts';
import { DAY, formatDay } from '../kernel/instant.ts';
import type { Instant } from '../kernel/instant.ts';
import { totalLength } from '../kernel/windows.ts';
import type { HeldHour } from '../load/ledger/hours.ts';
import { guardsOf } from '../load/ledger/ledger.ts';
import { recentOf } from './history.ts';
import { edgeOf } from './table-work.ts';
import type { TableWork } from './table-work.ts';

/** Throws MassLossError. */
export function refuseMassLoss(work: TableWork, view: SourceView, held: ReadonlyMap<Instant, HeldHour>): void {
  const lost = massLossOf(work, view, held);
  if (lost) throw lost;
}

/** Older history that vanished must not keep new rows from being loaded: it is left as it is, and the table fails at its end. */
export function lossOfHistory(
  work: TableWork,
  view: SourceView,
  { held, found }: { readonly held: ReadonlyMap<Instant, HeldHour>; readonly found: Diff },
): MassLossError | undefined {
  const { request, settings } = work;
  const isNamed = request.from !== undefined || request.to !== undefined;
  // Where no hour is stale, no row vanished.
  if (isNamed || found.stale.length === 0) return undefined;
  const recent = recentOf(view, settings.depthDays);
  if (totalLength(recent.covers) === totalLength(view.covers)) return undefined;
  const lost = massLossOf(work, view, held);
  return lost && !massLossOf(work, recent, held) ? lost : undefined;
}

function massLossOf(
  work: TableWork,
  view: SourceView,
  held: ReadonlyMap<Instant, HeldHour>,
): MassLossError | undefined {
  const { ledger, request, tenant, table, settings } = work;
  if (request.allowDeletes === true) return undefined;
  const losses = massLoss(view, held, {
    ...guardsOf(ledger.settings, tenant).deletes,
    ...edgeOf(view, settings.retentionDays),
  });
  const [first] = losses;
  if (!first) return undefined;
  const isOld = first.from < view.at - BigInt(settings.depthDays) * DAY;
  const span = losses.length > 1 ? `${losses.length} days from ${formatDay(first.from)} on` : formatDay(first.from);
  return new MassLossError(
    `${first.lostRows} of ${first.heldRows} rows of ${table} vanished at the source (${span}); ${isOld ? 'the lake keeps them' : 'nothing was changed'}.`,
    {
      hint: `Ask the vendor what happened. ${isOld ? `If the source keeps rows only for a time, set retentionDays of ${table}. ` : ''}If the rows were deleted on purpose, run again with --allow-deletes.`,
      where: { tenant, table, from: formatDay(first.from) },
    },
  );
}
