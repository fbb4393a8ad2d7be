/**
 * `npm run drills`: what an operator meets in a bad week, with the real program as a process against a source on loopback. Prints
 * one row of a Markdown table for each drill: the exit code, the first line of the message, and the rows that the lake lacks
 * after the fault has ended and one more run has succeeded. Ends with 1 if a row is lost or an exit code is not the documented one.
 *
 *     npm run drills -- --only disk --rows 3000 --days 6 --seed 1
 *
 * Disks that are full or read-only are file systems of their own, mounted in a namespace that ends with this process. Where
 * that is not allowed, limits on the size of files and permissions take their place.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { options } from './harness.mjs';
import { DAMAGE_DRILLS } from './drills/damage-drills.mjs';
import { DISK_DRILLS } from './drills/disk-drills.mjs';
import { PROCESS_DRILLS } from './drills/process-drills.mjs';
import { SOURCE_DRILLS } from './drills/source-drills.mjs';
import { messageOf, openStage } from './drills/stage.mjs';
import { TENANTS_DRILL } from './drills/tenants-drill.mjs';

const wanted = options({ only: '', rows: 3000, days: 6, seed: 1 });
const MOUNTS = process.env.DRILLS_MOUNTS;
if (MOUNTS === undefined) {
  const canMount = spawnSync('unshare', ['-rm', 'true']).status === 0;
  const again = [process.execPath, fileURLToPath(import.meta.url), ...process.argv.slice(2)];
  const env = { ...process.env, DRILLS_MOUNTS: canMount ? '1' : '0' };
  const [command, ...args] = canMount ? ['unshare', '-rm', ...again] : again;
  process.exit(spawnSync(command, args, { env, stdio: 'inherit' }).status ?? 1);
}

const DRILLS = [...SOURCE_DRILLS, ...DISK_DRILLS, ...PROCESS_DRILLS, ...DAMAGE_DRILLS, TENANTS_DRILL];

/** The faulty run, then what the docs say to do, then a run that must succeed. */
async function outcomeOf(drill, stage) {
  const done = await drill.run(stage);
  await stage.faults([]);
  const recovery = await drill.recover?.(stage, done);
  if (recovery !== undefined && recovery.code !== 0) return { done, note: `repair ended with ${recovery.code}` };
  if (drill.judge) return { done, ...(await drill.judge(stage)) };
  const good = await stage.run();
  const deep = drill.isDamage ? await stage.run(['verify', '--deep']) : good;
  return { done, good, ...(await stage.judge()), ...(deep.code === 0 ? {} : { note: `then: exit code ${deep.code}` }) };
}

function row(drill, { done, good, lost, equal, note }) {
  const codes = [drill.expected].flat();
  const notes = [
    ...(codes.includes(done.code) ? [] : [`expected ${codes.join(' or ')}`]),
    ...(good === undefined || good.code === 0 ? [] : [`the run afterwards ended with ${good.code}`]),
    ...(equal === false ? ['the rows differ'] : []),
    ...(note === undefined ? [] : [note]),
  ];
  const code = done.command === undefined ? String(done.code) : `${done.code} (\`${done.command}\`)`;
  const cells = [
    drill.name,
    notes.length === 0 ? code : `${code} **${notes.join('; ')}**`,
    messageOf(done).replaceAll('|', String.raw`\|`),
    lost === undefined ? '?' : String(lost),
  ];
  if (notes.length > 0 || lost !== 0) process.exitCode = 1;
  console.log(`| ${cells.join(' | ')} |`);
}

const stage = await openStage({ ...wanted, mounts: MOUNTS === '1' });
const started = performance.now();
let count = 0;
try {
  console.log('| drill | exit code | first line of the message | rows lost |\n| --- | --- | --- | --- |');
  for (const drill of DRILLS.filter(({ name }) => name.includes(wanted.only))) {
    count++;
    process.stderr.write(`${drill.name} …\n`);
    try {
      row(drill, await outcomeOf(drill, stage));
    } catch (error) {
      process.exitCode = 1;
      console.log(`| ${drill.name} | **the drill itself failed** | ${error.message.split('\n')[0]} | ? |`);
    } finally {
      await stage.faults([]);
      await drill.end?.(stage);
    }
  }
} finally {
  await stage.close();
}
console.log(
  `\n${count} drills in ${((performance.now() - started) / 60_000).toFixed(1)} minutes: ${process.exitCode ? 'FAILED' : 'no row lost, every exit code as documented'}`,
);
