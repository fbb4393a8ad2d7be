/** The curve of survival as SVG: the share of passes that are active, by age in days. */
import type { JSX } from 'preact';
import type { Age } from './ages.ts';
import { figure } from './locale.ts';
import { ChartFrame, ValueAxis } from './frame.tsx';
import { linear, linePath } from './scale.ts';

const HEIGHT = 220;
const [LEFT, RIGHT, TOP, BOTTOM] = [46, 26, 22, 38] as const;

interface CurveProps {
  readonly now: readonly Age[];
  readonly before: readonly Age[];
  readonly label: string;
  readonly width: number;
  readonly focus: number | null;
  readonly onFocus: (nth: number | null) => void;
}

export function Curve({ now, before, label, width, focus, onFocus }: CurveProps): JSX.Element {
  const oldest = Math.max(1, ...[...now, ...before].map(({ days }) => days));
  // Most passes that leave do so in the first days: the root gives these days room.
  const right = Math.max(LEFT + 20, width - RIGHT);
  const root = linear([0, Math.sqrt(oldest)], [LEFT, right]);
  const x = (age: number): number => root(Math.sqrt(age));
  const y = linear([0, 1], [HEIGHT - BOTTOM, TOP]);
  const draw = (ages: readonly Age[]): string =>
    linePath(
      ages.length,
      (nth) => x(ages[nth]?.days ?? 0),
      (nth) => y(ages[nth]?.share ?? 0),
    );
  const days = [...new Set([...now, ...before].map((age) => age.days))].sort((a, b) => a - b);
  const point = (at: number | null): void => {
    const far = (age: Age | undefined): number => Math.abs(x(age?.days ?? 0) - (at ?? 0));
    const isNone = at === null || now.length === 0;
    onFocus(isNone ? null : now.reduce((best, age, nth) => (far(age) < far(now[best]) ? nth : best), 0));
  };
  return (
    <ChartFrame label={label} width={width} height={HEIGHT} onPoint={point}>
      <ValueAxis values={[0, 0.25, 0.5, 0.75, 1]} column="share" y={y} left={LEFT} right={right} />
      {days.map((age) => (
        <text key={age} class="axis" x={x(age)} y={HEIGHT - BOTTOM + 16} text-anchor="middle">
          {figure(age)}
        </text>
      ))}
      <text class="axis" x={LEFT} y={HEIGHT - 6}>
        days after the first installation
      </text>
      <path class="before s0" d={draw(before)} />
      <path class="line s0" d={draw(now)} />
      {now.map(({ days: age, share }, nth) => (
        <g key={age}>
          {nth === focus && <line class="cross" x1={x(age)} x2={x(age)} y1={TOP} y2={HEIGHT - BOTTOM} />}
          <circle class="dot s0" cx={x(age)} cy={y(share)} r={nth === focus ? 5 : 3.5} />
          {age > 0 && (
            <text class="name" x={x(age)} y={y(share) - 9} text-anchor="middle">
              {figure(share, 'share')}
            </text>
          )}
        </g>
      ))}
    </ChartFrame>
  );
}

/** The figures of one age in words. */
export function ageText(now: readonly Age[], before: readonly Age[], nth: number): string {
  const age = now[nth];
  if (age === undefined) return '';
  const earlier = before.find(({ days }) => days === age.days);
  const then = earlier === undefined ? '' : ` (before: ${figure(earlier.share, 'share')})`;
  return `After ${figure(age.days)} days: ${figure(age.share, 'share')}, ${figure(age.active)} of ${figure(age.passes)} passes${then}`;
}
