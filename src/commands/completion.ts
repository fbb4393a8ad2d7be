/** `completion`: scripts for shells, written from the commands themselves, so that none is ever forgotten in them. */
import { Argument, Command } from 'commander';
import type { Shell } from './shell.ts';

/** A command's name, what it does, and its long flags with theirs. */
interface Word {
  readonly name: string;
  readonly description: string;
  readonly flags: readonly { readonly name: string; readonly description: string }[];
}

const SHELLS = ['bash', 'zsh', 'fish'] as const;
const PROGRAM = 'insights-etl';

export function completionCommand(shell: Shell): Command {
  return new Command('completion')
    .description('Print a script that completes commands and flags in your shell')
    .addArgument(new Argument('<shell>', 'of which shell').choices(SHELLS))
    .addHelpText(
      'after',
      `
Examples:
  $ source <(insights-etl completion bash)                                    in ~/.bashrc
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
  return { name: command.name(), description: command.description(), flags: flagsOf(command) };
}

function flagsOf(command: Command): Word['flags'] {
  const own = command.options.flatMap(({ long, description }) =>
    long === undefined || long === null ? [] : [{ name: long, description }],
  );
  return [...own, { name: '--help', description: 'display help for command' }];
}

const names = (flags: Word['flags']): string => flags.map(({ name }) => name).join(' ');

function bash(global: Word['flags'], commands: readonly Word[]): string {
  const cases = commands.map(({ name, flags }) => `    ${name}) words="${names(flags)} ${names(global)}" ;;`);
  return `# ${PROGRAM} completion bash
_insights_etl() {
  local current="\${COMP_WORDS[COMP_CWORD]}" command="" words word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case " ${commands.map(({ name }) => name).join(' ')} " in *" $word "*) command="$word"; break ;; esac
  done
  case "$command" in
${cases.join('\n')}
    *) words="${commands.map(({ name }) => name).join(' ')} ${names(global)}" ;;
  esac
  COMPREPLY=()
  # A word that is no flag is a file, an instant or a report: the shell's own completion is used for it.
  if [[ -z "$command" || "$current" == -* ]]; then COMPREPLY=($(compgen -W "$words" -- "$current")); fi
}
complete -o default -F _insights_etl ${PROGRAM}
`;
}

function zsh(global: Word['flags'], commands: readonly Word[]): string {
  const spec = ({ name, description }: Word['flags'][number]): string =>
    quoted(`${name}[${description.replaceAll(/[[\]\\:]/g, String.raw`\$&`)}]`);
  const cases = commands.map(
    ({ name, flags }) => `    ${name}) _arguments ${[...flags, ...global].map(spec).join(' ')} '*:: :_files' ;;`,
  );
  const described = commands.map(
    ({ name, description }) => `    ${quoted(`${name}:${description.replaceAll(':', '\\:')}`)}`,
  );
  return `#compdef ${PROGRAM}
_insights_etl() {
  local -a commands
  commands=(
${described.join('\n')}
  )
  if (( CURRENT == 2 )); then
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

function fish(global: Word['flags'], commands: readonly Word[]): string {
  const flag = (condition: string, { name, description }: Word['flags'][number]): string =>
    `complete -c ${PROGRAM} ${condition}-l ${name.slice(2)} -d ${fishQuoted(description)}`;
  return `${[
    ...global.map((entry) => flag('', entry)),
    ...commands.flatMap(({ name, description, flags }) => [
      `complete -c ${PROGRAM} -n __fish_use_subcommand -a ${name} -d ${fishQuoted(description)}`,
      ...flags
        .filter((entry) => entry.name !== '--help')
        .map((entry) => flag(`-n '__fish_seen_subcommand_from ${name}' `, entry)),
    ]),
  ].join('\n')}\n`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

function fishQuoted(text: string): string {
  return `'${text.replaceAll(/['\\]/g, String.raw`\$&`)}'`;
}
