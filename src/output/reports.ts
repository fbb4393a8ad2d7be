/** Reports for a person who looks for one: the list, by the questions that they answer, and the help of one. */
import { wrapped } from './fold.ts';

interface Parameter {
  readonly name: string;
  readonly kind: string;
  readonly fallback: string | null;
  readonly description: string;
}

interface Listed {
  readonly name: string;
  readonly question: string | undefined;
}

interface Described extends Listed {
  readonly title: string;
  readonly description: string;
  readonly formula: string | undefined;
  readonly grain: string;
  readonly unit: string | undefined;
  readonly caveats: readonly string[];
  readonly chart: string | undefined;
  readonly formerNames: readonly string[];
}

/** The order of the list. Other questions follow. */
const QUESTIONS = [
  'How many passes are in wallets?',
  'Are people installing?',
  'Where do they come from?',
  'Do they stay?',
  'Do they use it?',
  'Is the service healthy?',
  'Is the data complete?',
];
const OTHERS = 'Other reports';
const WIDTH = 80;

/** At most a screen: the names under their questions. Ends with a line feed. */
export function reportList(reports: readonly Listed[], width = WIDTH): string {
  const asked = [...new Set(reports.map(({ question }) => question ?? OTHERS))];
  const questions = [...QUESTIONS, ...asked.filter((one) => !QUESTIONS.includes(one))];
  const groups = questions.flatMap((question) => {
    const names = reports.filter((report) => (report.question ?? OTHERS) === question).map(({ name }) => name);
    return names.length === 0 ? [] : [question, ...wrapped(names.join(', '), width - 2).map((line) => `  ${line}`)];
  });
  return `${groups.join('\n')}\n\`insights-etl query <name> --help\` explains a report.\n`;
}

/** What a report shows, how it is computed, and a command that runs it. Ends with a line feed. */
export function reportHelp(
  report: Described,
  parameters: readonly Parameter[],
  dimensions: readonly string[],
  width = WIDTH,
): string {
  const { name, title, description, formula, grain, unit, caveats, chart, question, formerNames } = report;
  const hanging = (head: string, text: string): string[] =>
    wrapped(text, width - head.length).map((line, index) => (index === 0 ? head : ' '.repeat(head.length)) + line);
  const field = (head: string, text: string | undefined): string[] =>
    text === undefined || text === '' ? [] : hanging(head.padEnd(12), text);
  const example = parameters.some((parameter) => parameter.name === 'grain') ? ' --param grain=month' : '';
  return [
    `${name}: ${title}`,
    ...wrapped(description, width),
    '',
    ...field('Question', question),
    ...field('Formula', formula),
    ...field('Rows', grain),
    ...field('Unit', unit),
    ...field('Dimensions', dimensions.join(', ')),
    ...field('Formerly', formerNames.join(', ')),
    '',
    'Parameters (--param name=value):',
    ...parameters.flatMap(({ name: parameter, kind, fallback, description: what }) => [
      ...hanging('  ', `${parameter}=<${kind}>`),
      ...hanging('      ', `${what} (default ${fallback ?? 'none'})`),
    ]),
    '',
    'Caveats:',
    ...caveats.flatMap((caveat) => hanging('  - ', caveat)),
    '',
    'Examples:',
    `  $ insights-etl query ${name}${example}`,
    ...(chart === undefined ? [] : [`  $ insights-etl query ${name} --chart`]),
    `  $ insights-etl query ${name} --out ${name}.xlsx`,
    '',
  ].join('\n');
}
