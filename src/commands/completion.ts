/** `completion`: shell scripts generated from the commands themselves, so that they are always complete. */
import { Argument, Command } from 'commander';
import { ConfigError } from '../kernel/errors.ts';
import { shellQuoted } from '../kernel/shell-quote.ts';
import { TABLE_NAMES } from '../model/tables.ts';
import { PROMOTED } from '../query/dimensions.ts';
import type { Parameter } from '../query/sql-file.ts';
import type { Shell } from './shell.ts';

interface Flag {
  readonly name: string;
  readonly description: string;
  /** Those that are known in advance; undefined if the flag takes none, or any text. */
  readonly values?: readonly string[];
  readonly takesValue?: boolean;
  readonly takesMany?: boolean;
}

interface Word {
  readonly name: string;
  readonly description: string;
  /** The long flags. */
  readonly flags: readonly Flag[];
  /** Subcommands. */
  readonly inner: readonly Word[];
  /** What its argument may be, as far as it is known in advance. */
  readonly values: readonly string[];
}

/** What `--param` takes, by report: `grain=day` where the values are known, otherwise `from=`. */
type Parameters = ReadonlyMap<string, readonly string[]>;

const SHELLS = ['bash', 'zsh', 'fish'] as const;
const PROGRAM = 'insights-etl';

export function completionCommand(shell: Shell): Command {
  return new Command('completion')
    .addArgument(new Argument('<shell>', 'the shell').choices(SHELLS))
    .addHelpText(
      'after',
      `
Examples:
  $ source <(insights-etl completion bash)                                    # in ~/.bashrc
  $ insights-etl completion zsh > "\${fpath[1]}/_insights-etl"
  $ insights-etl completion fish > ~/.config/fish/completions/insights-etl.fish`,
    )
    .action(async (name: (typeof SHELLS)[number], _options: object, command: Command) => {
      if (command.optsWithGlobals<{ readonly json?: boolean }>().json === true)
        throw new ConfigError('`completion` prints a script, not JSON.', { hint: 'Omit --json.' });
      const program = command.parent ?? command;
      const script = { bash, zsh, fish }[name];
      const { allParameters, listChecks, listReports } = await import('../query/report.ts');
      const { DAY_WORDS } = await import('../query/days.ts');
      const valuesOf = ({ name: parameter, kind }: Parameter, dimensions: readonly string[]): readonly string[] => {
        if (kind.includes('|')) return kind.split('|');
        if (kind === 'boolean') return ['true', 'false'];
        if (parameter === 'by') return dimensions;
        return kind === 'date' || parameter === 'range' ? DAY_WORDS : [];
      };
      const reports = await listReports();
      const parameters: Parameters = new Map(
        reports.map((report) => [
          report.name,
          allParameters(report).flatMap((parameter) => {
            const values = valuesOf(parameter, report.dimensions.allowed.filter((word) => word !== PROMOTED)); // oxfmt-ignore
            return values.length === 0 ? [`${parameter.name}=`] : values.map((value) => `${parameter.name}=${value}`);
          }),
        ]),
      );
      const known: Known = {
        '<name> of query': reports.map((report) => report.name),
        '--report': reports.map((report) => report.name),
        '<name> of check': (await listChecks()).map((check) => check.name),
        '--table': TABLE_NAMES,
      };
      const words = program.commands.map((each) => wordOf(each, known));
      shell.io.stdout.write(script(flagsOf(program, known), words, parameters));
    });
}

/** Values of flags and of arguments that the command itself does not list. */
type Known = Readonly<Record<string, readonly string[]>>;

function wordOf(command: Command, known: Known): Word {
  return {
    name: command.name(),
    description: command.description(),
    flags: flagsOf(command, known),
    inner: command.commands.map((each) => wordOf(each, known)),
    values: command.registeredArguments.flatMap(
      (argument) => argument.argChoices ?? known[`<${argument.name()}> of ${command.name()}`] ?? [],
    ),
  };
}

function flagsOf(command: Command, known: Known): readonly Flag[] {
  const own = command.options.flatMap(({ long, description, argChoices, variadic, required, optional }): Flag[] => {
    if (long === undefined || long === null) return [];
    const values = argChoices ?? known[long];
    return [
      {
        name: long,
        description,
        takesMany: variadic,
        takesValue: required || optional,
        ...(values === undefined ? {} : { values }),
      },
    ];
  });
  const help = { name: '--help', description: 'display help for command' };
  return own.some(({ name }) => name === help.name) ? own : [...own, help];
}

const joinNames = (words: readonly { readonly name: string }[]): string => words.map(({ name }) => name).join(' ');

function bash(global: readonly Flag[], commands: readonly Word[], parameters: Parameters): string {
  const cases = commands.flatMap(({ name, flags, inner, values }) => [
    `    "${name} ") inner="${joinNames(inner)}"; plain="${values.join(' ')}"; words="${joinNames([...inner, ...flags, ...global])}" ;;`,
    ...inner.map((word) => `    "${name} ${word.name}") words="${joinNames([...word.flags, ...global])}" ;;`),
  ]);
  const outer = commands.filter(({ inner }) => inner.length > 0);
  const all = commands.flatMap((word) => [
    word,
    ...word.inner.map((inner) => ({ ...inner, name: `${word.name} ${inner.name}` })),
  ]);
  const withValues = (start: string, flags: readonly Flag[]): string[] =>
    flags.flatMap(({ name, values }) =>
      values === undefined ? [] : [`    ${start} ${name}") values="${values.join(' ')}" ;;`],
    );
  const ofFlags = [
    ...all.flatMap(({ name, flags }) => withValues(`"${name.includes(' ') ? name : `${name} `}`, flags)),
    ...withValues('*"', global),
  ];
  const flagsThat = (accepts: (flag: Flag) => boolean): string[] => [
    ...new Set([...global, ...all.flatMap(({ flags }) => flags)].filter(accepts).map(({ name }) => name)),
  ];
  const taking = flagsThat(({ takesValue }) => takesValue === true);
  const many = flagsThat(({ takesMany }) => takesMany === true);
  const ofReports = [...parameters].map(([report, words]) => `      ${report}) values="${words.join(' ')}" ;;`);
  return `# ${PROGRAM} completion bash
_insights_etl() {
  local current="\${COMP_WORDS[COMP_CWORD]}" command="" second="" inner="" plain="" values="" flag="" report="" key="" words word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$word" in
      --*) case " ${taking.join(' ')} " in *" $word "*) flag="$word" ;; *) flag="" ;; esac ;;
      # A flag with one value has it.
      *) case " ${many.join(' ')} " in *" $flag "*) ;; *) flag="" ;; esac ;;
    esac
    case " ${[...parameters.keys()].join(' ')} " in *" $word "*) report="$word" ;; esac
    if [[ -z "$command" ]]; then
      case " ${joinNames(commands)} " in *" $word "*) command="$word" ;; esac
    else
      case "$command" in
${outer.map(({ name, inner }) => `        ${name}) case " ${joinNames(inner)} " in *" $word "*) second="$word" ;; esac ;;`).join('\n')}
      esac
    fi
  done
  case "$command $second" in
${cases.join('\n')}
    *) words="${joinNames([...commands, ...global])}" ;;
  esac
  case "$command $second $flag" in
${ofFlags.join('\n')}
    *" --param") case "$report" in
${ofReports.join('\n')}
      esac ;;
  esac
  COMPREPLY=()
  if [[ "$current" == -* ]]; then COMPREPLY=($(compgen -W "$words" -- "$current"))
  elif [[ "$flag" == "--param" ]]; then
    # Bash takes = as a word of its own.
    [[ "$current" == "=" ]] && key="\${COMP_WORDS[COMP_CWORD-1]}=" && current=""
    [[ "\${COMP_WORDS[COMP_CWORD-1]}" == "=" ]] && key="\${COMP_WORDS[COMP_CWORD-2]}="
    if [[ -n "$key" ]]; then
      for word in $values; do [[ "$word" == "$key$current"* ]] && COMPREPLY+=("\${word#"$key"}"); done
    else
      for word in $values; do
        word="\${word%%=*}="
        [[ "$word" == "$current"* && " \${COMPREPLY[*]} " != *" $word "* ]] && COMPREPLY+=("$word")
      done
      type compopt > /dev/null 2>&1 && compopt -o nospace 2> /dev/null
    fi
  elif [[ -n "$values" ]]; then COMPREPLY=($(compgen -W "$values" -- "$current"))
  # Other words are files or instants: the completion of the shell itself handles them.
  elif [[ -z "$command" || -n "$inner" ]]; then COMPREPLY=($(compgen -W "$words" -- "$current"))
  elif [[ -n "$plain" && -z "$flag" ]]; then COMPREPLY=($(compgen -W "$plain" -- "$current"))
  fi
  return 0
}
complete -o default -F _insights_etl ${PROGRAM}
`;
}

function zsh(global: readonly Flag[], commands: readonly Word[], parameters: Parameters): string {
  const valuesOf = ({ name, values }: Flag): string => {
    if (name === '--param') return ":*:parameter:compadd -S '' -a parameters";
    return values === undefined ? '' : `:value:(${values.join(' ')})`;
  };
  const spec = (flag: Flag): string =>
    shellQuoted(`${flag.name}[${flag.description.replaceAll(/[[\]\\:]/g, String.raw`\$&`)}]${valuesOf(flag)}`);
  const specs = (flags: readonly Flag[]): string => [...flags, ...global].map(spec).join(' ');
  const rest = ({ values }: Word): string =>
    shellQuoted(values.length === 0 ? '*:: :_files' : `*:name:(${values.join(' ')})`);
  const described = (words: readonly Word[]): string =>
    words.map(({ name, description }) => shellQuoted(`${name}:${description.replaceAll(':', '\\:')}`)).join('\n      ');
  const ofInner = ({ name, inner, flags }: Word): string => `    ${name})
      if (( CURRENT == 3 )); then
        commands=(
      ${described(inner)}
        )
        _describe command commands
        _arguments ${specs(flags)}
        return
      fi
      case "\${words[3]}" in
${inner.map((word) => `        ${word.name}) _arguments ${specs(word.flags)} ${rest(word)} ;;`).join('\n')}
      esac ;;`;
  const cases = commands.map((word) =>
    word.inner.length > 0 ? ofInner(word) : `    ${word.name}) _arguments ${specs(word.flags)} ${rest(word)} ;;`,
  );
  const ofReports = [...parameters].map(([report, words]) => `      ${report}) parameters=(${words.join(' ')}) ;;`);
  return `#compdef ${PROGRAM}
_insights_etl() {
  local -a commands parameters
  local word
  if (( CURRENT == 2 )); then
    commands=(
      ${described(commands)}
    )
    _describe command commands
    _arguments ${global.map(spec).join(' ')}
    return
  fi
  for word in $words; do
    case "$word" in
${ofReports.join('\n')}
    esac
  done
  case "\${words[2]}" in
${cases.join('\n')}
    *) _files ;;
  esac
}
compdef _insights_etl ${PROGRAM}
`;
}

function fish(global: readonly Flag[], commands: readonly Word[], parameters: Parameters): string {
  const line = (condition: string, rest: string, description: string): string =>
    `complete -c ${PROGRAM} ${condition === '' ? '' : `-n ${shellQuoted(condition)} `}${rest} -d ${fishQuoted(description)}`;
  const seen = (...names: string[]): string => `__fish_seen_subcommand_from ${names.join(' ')}`;
  const flagLine = (condition: string, { name, description, values }: Flag): string =>
    line(
      condition,
      `-l ${name.slice(2)}${values === undefined ? '' : ` -x -a ${fishQuoted(values.join(' '))}`}`,
      description,
    );
  const linesOf = (condition: string, flags: readonly Flag[]): string[] =>
    flags
      // The global flags already contain it.
      .filter(({ name }) => name !== '--help')
      .map((flag) => flagLine(condition, flag));
  const words = commands.flatMap(({ name, description, flags: own, inner, values }) => [
    line('__fish_use_subcommand', `-a ${name}`, description),
    ...linesOf(seen(name), own),
    ...(values.length === 0
      ? []
      : [line(`${seen(name)}; and not ${seen(...values)}`, `-a ${fishQuoted(values.join(' '))}`, 'name')]),
    ...inner.flatMap((word) => [
      line(`${seen(name)}; and not ${seen(...inner.map((other) => other.name))}`, `-a ${word.name}`, word.description),
      ...linesOf(`${seen(name)}; and ${seen(word.name)}`, word.flags),
    ]),
  ]);
  const ofReports = [...parameters].map(([report, each]) =>
    line(
      `${seen('query', 'export')}; and ${seen(report)}; and __fish_contains_opt param`,
      `-a ${fishQuoted(each.join(' '))}`,
      'parameter',
    ),
  );
  const everywhere = global.map((flag) => flagLine('', flag));
  return `${[...everywhere, ...words, ...ofReports].join('\n')}\n`;
}

function fishQuoted(text: string): string {
  return `'${text.replaceAll(/['\\]/g, String.raw`\$&`)}'`;
}
