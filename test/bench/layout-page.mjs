/** The figures of `npm run layout` as tables: bytes, and the milliseconds of each reader. Pure. */

const whole = (value) => value.toLocaleString('en-US', { maximumFractionDigits: 0 });
const fixed = (value, digits) => value.toFixed(digits);

const milliseconds = (seconds) => (seconds < 0.01 ? fixed(seconds * 1000, 1) : whole(seconds * 1000));

/** What a reader took; what it made of the file where it gave no right answer; nothing where the question makes no sense. */
function cell(found) {
  if (found === undefined) return '–';
  if (found.refused !== undefined) return 'refused';
  return found.isRight ? milliseconds(found.seconds) : 'wrong rows';
}

/** Of the sums over all rows. */
const sameRows = (found) => (found.refused === undefined ? (found.isRight ? 'yes' : 'no') : 'refused');

function table(head, rows) {
  const alignment = head.map((_, nth) => (nth < 2 ? '---' : '--:'));
  return [head, alignment, ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

const COLUMNS = {
  installs: 'installs by day',
  pass: 'one pass',
  day: 'one day',
  id: 'one id',
};

function sizes({ variants }) {
  const [written] = variants;
  const rows = variants.map(({ property, name, bytes, seconds, isImpossible }) =>
    isImpossible
      ? [property, name, 'not possible', '', '']
      : [property, name, fixed(bytes / 1e6, 1), fixed(bytes / written.bytes, 3), seconds === undefined ? '–' : fixed(seconds, 1)],
  ); // oxfmt-ignore
  return table(['what differs', 'layout', 'MB', 'of as written', 'seconds to write'], rows);
}

function times({ variants }, reader) {
  const rows = variants
    .filter(({ isImpossible }) => !isImpossible)
    .map(({ property, name, readers }) => [
      property,
      name,
      ...Object.keys(COLUMNS).map((question) => cell(readers[reader][question])),
      sameRows(readers[reader].whole),
    ]);
  return table(['what differs', 'layout', ...Object.values(COLUMNS), 'same rows'], rows);
}

/** Everything of one lake. */
export function layoutTables(result) {
  const { lake, machine, at, readers, rounds } = result;
  const what = `${lake.name}: ${whole(lake.rows)} events in ${whole(lake.files)} files.`;
  const where = `${machine.cores} cores, ${machine.processor}, Node ${machine.node}, commit ${machine.commit}, ${at}.`;
  return [
    `${what} ${where}`,
    sizes(result),
    ...Object.entries(readers).flatMap(([reader, version]) => [
      `Milliseconds in ${reader} ${version}, the median of ${rounds} after a warm-up:`,
      times(result, reader),
    ]),
  ].join('\n\n');
}

/** All lakes that were measured, one after the other. */
export const layoutPart = (results) => results.map(layoutTables).join('\n\n');
