/** `completion`: shell scripts generated from the commands themselves, so that they are always complete. */
import { Argument, Command } from 'commander';
import type { Shell } from './shell.ts';

interface Flag {
  readonly name: string;
  readonly description: string;
}

interface Word {
  readonly name: string;
  readonly description: string;
  /** The long flags. */
  readonly flags: readonly Flag[];
  /** Subcommands. */
  readonly inner: readonly Word[];
}

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
    .action((name: (typeof SHELLS)[number], _options: object, command: Command) => {
      const program = command.parent ?? command;
      const script = { bash, zsh, fish }[name];
      shell.io.stdout.write(script(flagsOf(program), program.commands.map(wordOf)));
    });
}

function wordOf(command: Command): Word {
  return {
    name: command.name(),
    description: command.description(),
    flags: flagsOf(command),
    inner: command.commands.map(wordOf),
  };
}

function flagsOf(command: Command): readonly Flag[] {
  const own = command.options.flatMap(({ long, description }) =>
    long === undefined || long === null ? [] : [{ name: long, description }],
  );
  const help = { name: '--help', description: 'display help for command' };
  return own.some(({ name }) => name === help.name) ? own : [...own, help];
}

const joinNames = (words: readonly { readonly name: string }[]): string => words.map(({ name }) => name).join(' ');

function bash(global: readonly Flag[], commands: readonly Word[]): string {
  const cases = commands.flatMap(({ name, flags, inner }) => [
    `    "${name} ") inner="${joinNames(inner)}"; words="${joinNames([...inner, ...flags, ...global])}" ;;`,
    ...inner.map((word) => `    "${name} ${word.name}") words="${joinNames([...word.flags, ...global])}" ;;`),
  ]);
  const outer = commands.filter(({ inner }) => inner.length > 0);
  return `# ${PROGRAM} completion bash
_insights_etl() {
  local current="\${COMP_WORDS[COMP_CWORD]}" command="" second="" inner="" words word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    if [[ -z "$command" ]]; then
      case " ${joinNames(commands)} " in *" $word "*) command="$word" ;; esac
    else
      case "$command" in
${outer.map(({ name, inner }) => `        ${name}) case " ${joinNames(inner)} " in *" $word "*) second="$word"; break ;; esac ;;`).join('\n')}
      esac
    fi
  done
  case "$command $second" in
${cases.join('\n')}
    *) words="${joinNames([...commands, ...global])}" ;;
  esac
  COMPREPLY=()
  # Other words are files, instants or reports: the completion of the shell itself handles them.
  if [[ -z "$command" || -n "$inner" || "$current" == -* ]]; then COMPREPLY=($(compgen -W "$words" -- "$current")); fi
}
complete -o default -F _insights_etl ${PROGRAM}
`;
}

function zsh(global: readonly Flag[], commands: readonly Word[]): string {
  const spec = ({ name, description }: Flag): string =>
    quoted(`${name}[${description.replaceAll(/[[\]\\:]/g, String.raw`\$&`)}]`);
  const specs = (flags: readonly Flag[]): string => [...flags, ...global].map(spec).join(' ');
  const described = (words: readonly Word[]): string =>
    words.map(({ name, description }) => quoted(`${name}:${description.replaceAll(':', '\\:')}`)).join('\n      ');
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
${inner.map((word) => `        ${word.name}) _arguments ${specs(word.flags)} '*:: :_files' ;;`).join('\n')}
      esac ;;`;
  const cases = commands.map((word) =>
    word.inner.length > 0 ? ofInner(word) : `    ${word.name}) _arguments ${specs(word.flags)} '*:: :_files' ;;`,
  );
  return `#compdef ${PROGRAM}
_insights_etl() {
  local -a commands
  if (( CURRENT == 2 )); then
    commands=(
      ${described(commands)}
    )
    _describe command commands
    _arguments ${global.map(spec).join(' ')}
    return
  fi
  case "\${words[2]}" in
${cases.join('\n')}
    *) _files ;;
  esac
}
compdef _insights_etl ${PROGRAM}
`;
}

function fish(global: readonly Flag[], commands: readonly Word[]): string {
  const line = (condition: string, rest: string, description: string): string =>
    `complete -c ${PROGRAM} ${condition === '' ? '' : `-n ${quoted(condition)} `}${rest} -d ${fishQuoted(description)}`;
  const seen = (...names: string[]): string => `__fish_seen_subcommand_from ${names.join(' ')}`;
  const linesOf = (condition: string, flags: readonly Flag[]): string[] =>
    flags
      // The global flags already contain it.
      .filter(({ name }) => name !== '--help')
      .map((flag) => line(condition, `-l ${flag.name.slice(2)}`, flag.description));
  const words = commands.flatMap(({ name, description, flags: own, inner }) => [
    line('__fish_use_subcommand', `-a ${name}`, description),
    ...linesOf(seen(name), own),
    ...inner.flatMap((word) => [
      line(`${seen(name)}; and not ${seen(...inner.map((other) => other.name))}`, `-a ${word.name}`, word.description),
      ...linesOf(`${seen(name)}; and ${seen(word.name)}`, word.flags),
    ]),
  ]);
  const everywhere = global.map((flag) => line('', `-l ${flag.name.slice(2)}`, flag.description));
  return `${[...everywhere, ...words].join('\n')}\n`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

function fishQuoted(text: string): string {
  return `'${text.replaceAll(/['\\]/g, String.raw`\$&`)}'`;
}
