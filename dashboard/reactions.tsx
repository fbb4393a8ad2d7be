/** Campaigns: the share of the notified passes that were scanned, removed or installed again afterwards, as bars. */
import type { JSX } from 'preact';
import { REACTIONS } from './campaigns.ts';
import type { Campaign } from './campaigns.ts';
import { short } from './chart.tsx';
import { figure, period } from './locale.ts';
import type { Grain } from './periods.ts';
import { linear } from './scale.ts';

const MOST = 8;
const [HEAD, ROW, BAR, VALUE, GAP] = [26, 40, 14, 64, 20] as const;
const WORDS: Readonly<Record<(typeof REACTIONS)[number], string>> = {
  scanned: 'scanned',
  removed: 'removed',
  reinstalled: 'installed again',
};

const shareOf = (count: number, { passes }: Campaign): number => (passes === 0 ? 0 : count / passes);

interface ReactionsProps {
  readonly campaigns: readonly Campaign[];
  readonly label: string;
  readonly width: number;
  readonly grain: Grain;
}

export function Reactions({ campaigns, label, width, grain }: ReactionsProps): JSX.Element {
  const shown = campaigns.slice(0, MOST);
  const rest = campaigns.length - shown.length;
  // Next to each other, or below each other where there is too little room.
  const isWide = width >= 700;
  const nameWidth = isWide ? Math.min(300, width * 0.28) : 0;
  const column = isWide ? (width - nameWidth) / REACTIONS.length : width;
  const bars = isWide ? 0 : 108;
  const rowHeight = isWide ? ROW : ROW + REACTIONS.length * 22 + 6;
  const height = HEAD + shown.length * rowHeight + (rest > 0 ? 22 : 4);
  const most = REACTIONS.map((_, nth) =>
    Math.max(0, ...shown.map((each) => shareOf(each.after[nth]?.week ?? 0, each))),
  );
  return (
    <svg class="chart" viewBox={`0 0 ${width} ${height}`} width={width} height={height} role="img" aria-label={label}>
      <Key width={width} isWide={isWide} />
      {isWide &&
        REACTIONS.map((what, nth) => (
          <text key={what} class="axis" x={nameWidth + nth * column} y="14">
            {WORDS[what]}
          </text>
        ))}
      {shown.map((campaign, row) => (
        <g key={campaign.name} transform={`translate(0,${HEAD + row * rowHeight})`}>
          <title>{campaign.name}</title>
          <text class="name" y="14">
            {short(campaign.name, Math.floor((isWide ? nameWidth - 12 : width) / 7))}
          </text>
          <text class="axis" y="30">
            {`${figure(campaign.passes)} passes, ${period(campaign.period, grain)}${campaign.isOpen ? ', so far' : ''}`}
          </text>
          {REACTIONS.map((what, nth) => (
            <g
              key={what}
              transform={isWide ? `translate(${nameWidth + nth * column},8)` : `translate(0,${ROW + nth * 22})`}
            >
              {!isWide && (
                <text class="axis" y="12">
                  {WORDS[what]}
                </text>
              )}
              <Bar
                day={shareOf(campaign.after[nth]?.day ?? 0, campaign)}
                week={shareOf(campaign.after[nth]?.week ?? 0, campaign)}
                most={most[nth] ?? 0}
                from={bars}
                to={column - (isWide ? GAP : 0) - VALUE}
              />
            </g>
          ))}
        </g>
      ))}
      {rest > 0 && <text class="axis" y={height - 6}>{`and ${rest} more, in the table`}</text>}
    </svg>
  );
}

interface BarProps {
  readonly day: number;
  readonly week: number;
  readonly most: number;
  readonly from: number;
  readonly to: number;
}

function Bar({ day, week, most, from, to }: BarProps): JSX.Element {
  const x = linear([0, most || 1], [from, Math.max(from + 20, to)]);
  return (
    <g>
      <rect class="area outlined s0" x={from} y="1" height={BAR - 2} width={x(week) - from} />
      <rect class="bar s0" x={from} width={x(day) - from} height={BAR} />
      <text class="name" x={x(week) + 6} y="12">
        {figure(week, 'share')}
      </text>
    </g>
  );
}

/** What the two colours mean. */
function Key({ width, isWide }: { width: number; isWide: boolean }): JSX.Element {
  const from = isWide ? 0 : Math.max(0, width - 250);
  return (
    <g transform={`translate(${from},4)`}>
      <rect class="bar s0" width="10" height="10" y="1" />
      <text class="axis" x="15" y="10">
        within 1 day
      </text>
      <rect class="area outlined s0" x="100.5" y="1.5" width="9" height="9" />
      <text class="axis" x="115" y="10">
        within 7 days
      </text>
    </g>
  );
}

/** The same in words, for a screen reader. */
export function reactionsText(campaigns: readonly Campaign[], grain: Grain): string {
  return campaigns
    .slice(0, MOST)
    .map((campaign) => {
      const shares = REACTIONS.map((what, nth) => {
        const { day = 0, week = 0 } = campaign.after[nth] ?? {};
        return `${figure(shareOf(week, campaign), 'share')} ${WORDS[what]} within 7 days (${figure(shareOf(day, campaign), 'share')} within 1)`;
      });
      return `${campaign.name}, ${period(campaign.period, grain)}, ${figure(campaign.passes)} passes: ${shares.join(', ')}.`;
    })
    .join(' ');
}
