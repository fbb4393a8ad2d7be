/** The rows behind a chart, as a table. */
import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { ask, DataError } from './data.ts';
import { figure, period, words } from './locale.ts';
import type { Grain } from './periods.ts';
import type { Range, Source, Table } from './types.ts';

interface RowsTableProps {
  readonly source: Source;
  readonly range: Range;
  readonly title: string;
  readonly grain: Grain;
}

/** All columns of the mart: the worker reads them when they are asked for. */
export function RowsTable({ source, range, title, grain }: RowsTableProps): JSX.Element {
  const [found, setFound] = useState<{ readonly of: Source; readonly content: Table | DataError }>();
  useEffect(() => {
    let isCurrent = true;
    const show = (content: Table | DataError): void => {
      if (isCurrent) setFound({ of: source, content });
    };
    ask({ kind: 'rows', source, range }).then(show, (error: unknown) =>
      show(error instanceof DataError ? error : new DataError(String(error), source.file)),
    );
    return () => (isCurrent = false);
  }, [source, range]);
  // Rows of another snapshot or range are not shown, not even for a moment.
  if (found?.of !== source) return <div class="skeleton" />;
  const { content } = found;
  if (content instanceof DataError) return <Failure loaded={{ error: content.message, file: content.file }} />;
  return <DayTable {...content} title={title} grain={grain} />;
}

/** Why something of a file cannot be shown. */
export function Failure({ loaded }: { loaded: { error: string; file: string } | undefined }): JSX.Element {
  return (
    <p class="failure" role="alert">
      {loaded ? (
        <>
          <code>{loaded.file}</code>: {loaded.error}
        </>
      ) : (
        'No answer.'
      )}
    </p>
  );
}

const MOST_ROWS = 200;
const HIDDEN = ['tenant_id', 'grain', 'pass_type', 'verified_share', 'partial_share', 'open_share', 'loaded_at'];

interface DayTableProps extends Table {
  readonly title: string;
  readonly grain: Grain;
}

export function DayTable({ columns, rows, title, grain }: DayTableProps): JSX.Element {
  const isOne = (name: string): boolean => rows.every((row) => row[name] === rows[0]?.[name]);
  const shown = columns.filter((name) => !HIDDEN.includes(name) && !(name === 'platform' && isOne(name)));
  const newest = rows.slice(-MOST_ROWS).reverse();
  return (
    <div class="scroll" tabindex={0} role="region" aria-label={`${title} as a table`}>
      <table>
        <thead>
          <tr>
            {shown.map((name) => (
              <th key={name} scope="col" class={typeof newest[0]?.[name] === 'number' ? 'number' : ''}>
                {name === 'day' ? grain : words(name)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {newest.map((row, nth) => (
            <tr key={nth}>
              {shown.map((name) => {
                const value = row[name] ?? null;
                return (
                  <td key={name} class={typeof value === 'number' ? 'number' : ''}>
                    {typeof value === 'number'
                      ? figure(value, name)
                      : value === null
                        ? '–'
                        : name === 'day'
                          ? period(String(value), grain)
                          : String(value)}
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
      {rows.length > newest.length && (
        <p class="note">{`The newest ${MOST_ROWS} of ${figure(rows.length)} rows. The CSV file has all.`}</p>
      )}
    </div>
  );
}
