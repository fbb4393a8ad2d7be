/** Reports and checks of the operator in a run: what is wrong with one is logged and stops nothing else. */
import { DiskError } from '../../kernel/errors.ts';
import { customFiles, warnOfBroken, type Custom } from '../../query/custom.ts';
import { shownMessage } from '../../query/engine-message.ts';
import { OutOfMemoryError } from '../ledger/engine-errors.ts';
import type { Ledger } from '../ledger/ledger.ts';

const known = new WeakMap<Ledger, Map<string, Promise<Custom>>>();

/** The operator's reports or checks. Those that cannot be used are logged. They are read once for each time that a ledger is opened. */
export async function usableFiles(ledger: Ledger, which: 'checks' | 'reports'): Promise<Custom> {
  const read = known.get(ledger) ?? new Map<string, Promise<Custom>>();
  known.set(ledger, read);
  const custom = read.get(which) ?? readUsable(ledger, which);
  read.set(which, custom);
  return custom;
}

async function readUsable(ledger: Ledger, which: 'checks' | 'reports'): Promise<Custom> {
  const custom = await customFiles(ledger.settings.custom?.[which], which === 'reports' ? 'kpi' : 'checks');
  warnOfBroken(custom, ledger.runtime);
  return custom;
}

/** False if a report cannot be computed, which is logged: it keeps its last mart, and the next run tries it again. */
export async function isComputed(ledger: Ledger, report: string, compute: () => Promise<void>): Promise<boolean> {
  try {
    await compute();
    return true;
  } catch (error) {
    if (error instanceof DiskError || error instanceof OutOfMemoryError) throw error;
    const why = error instanceof Error ? (shownMessage(error.message).split('\n')[0] ?? '') : 'unexpected';
    ledger.runtime.log.warn({ event: 'custom.failed', report, why }, `Report "${report}" could not be kept by day.`);
    return false;
  }
}
