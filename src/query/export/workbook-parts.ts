/** The XML of a workbook: cells, and the parts that are the same in every workbook or list its sheets. */
import type { Cell } from './cell.ts';
import type { Part } from './archive.ts';

/** Formats of cells, by their place in `cellXfs`. */
export const FORMATS = { general: 0, header: 1, text: 2, date: 3, seconds: 4, milliseconds: 5 } as const;
export type FormatName = keyof typeof FORMATS;

const DECLARATION = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n';
const MAIN = 'http://schemas.openxmlformats.org/spreadsheetml/2006/main';
const OFFICE = 'http://schemas.openxmlformats.org/officeDocument/2006';
const PACKAGE = 'http://schemas.openxmlformats.org/package/2006';
const TYPES = 'application/vnd.openxmlformats-officedocument';

/** A, B, …, Z, AA, … */
export function columnName(index: number): string {
  const rest = Math.floor(index / 26) - 1;
  return (rest < 0 ? '' : columnName(rest)) + String.fromCharCode(65 + (index % 26));
}

/** One cell; nothing for null. */
export function cellXml(row: number, column: number, cell: Cell, format: number): string {
  if (cell === null) return '';
  const start = `<c r="${columnName(column)}${row + 1}"${format === 0 ? '' : ` s="${format}"`}`;
  if (typeof cell === 'number') return `${start}><v>${cell}</v></c>`;
  if (typeof cell === 'boolean') return `${start} t="b"><v>${cell ? 1 : 0}</v></c>`;
  return `${start} t="inlineStr"><is><t xml:space="preserve">${elementText(cell)}</t></is></c>`;
}

/**
 * Characters that XML cannot hold are written as Excel writes them, `_x0007_`, and so is a carriage return, which XML would turn into a
 * line feed. Text that looks like such an escape gets its underscore escaped.
 */
function elementText(text: string): string {
  return attributeText(
    text.replaceAll(/_(?=x[0-9A-Fa-f]{4}_)/g, '_x005F_').replaceAll(
      // eslint-disable-next-line no-control-regex -- they are what is looked for
      /[\u0000-\u0008\u000b-\u001f\ufffe\uffff]/g,
      (char) => `_x${(char.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}_`,
    ),
  );
}

export function attributeText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

/** All parts except the sheets. */
export function* workbookParts(
  sheets: readonly { readonly name: string; readonly rows: number }[],
  columns: number,
  properties: Readonly<Record<string, string>>,
): Generator<Part> {
  const part = (name: string, xml: string): Part => ({ name, data: [DECLARATION, xml] });
  const hasProperties = Object.keys(properties).length > 0;
  yield part('xl/styles.xml', stylesXml());
  const listed = sheets.map(
    ({ name }, index) => `<sheet name="${attributeText(name)}" sheetId="${index + 1}" r:id="rId${index + 1}"/>`,
  );
  // Excel expects the area of a filter under this name too.
  const filters = sheets.map(
    ({ name, rows }, index) =>
      `<definedName name="_xlnm._FilterDatabase" localSheetId="${index}" hidden="1">'${attributeText(name)}'!$A$1:$${columnName(columns - 1)}$${rows}</definedName>`,
  );
  yield part(
    'xl/workbook.xml',
    `<workbook xmlns="${MAIN}" xmlns:r="${OFFICE}/relationships"><sheets>${listed.join('')}</sheets><definedNames>${filters.join('')}</definedNames></workbook>`,
  );
  const links = sheets.map((_, index) =>
    relation(index + 1, `${OFFICE}/relationships/worksheet`, `worksheets/sheet${index + 1}.xml`),
  );
  const styles = relation(sheets.length + 1, `${OFFICE}/relationships/styles`, 'styles.xml');
  yield part('xl/_rels/workbook.xml.rels', relations([...links, styles]));
  if (hasProperties) yield part('docProps/custom.xml', propertiesXml(properties));
  yield part(
    '_rels/.rels',
    relations([
      relation(1, `${OFFICE}/relationships/officeDocument`, 'xl/workbook.xml'),
      ...(hasProperties ? [relation(2, `${OFFICE}/relationships/custom-properties`, 'docProps/custom.xml')] : []),
    ]),
  );
  const kinds = [
    ['/xl/workbook.xml', `${TYPES}.spreadsheetml.sheet.main+xml`],
    ['/xl/styles.xml', `${TYPES}.spreadsheetml.styles+xml`],
    ...sheets.map((_, index) => [`/xl/worksheets/sheet${index + 1}.xml`, `${TYPES}.spreadsheetml.worksheet+xml`]),
    ...(hasProperties ? [['/docProps/custom.xml', `${TYPES}.custom-properties+xml`]] : []),
  ];
  yield part(
    '[Content_Types].xml',
    `<Types xmlns="${PACKAGE}/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/>${kinds.map(([name, type]) => `<Override PartName="${name}" ContentType="${type}"/>`).join('')}</Types>`,
  );
}

function relation(id: number, type: string, target: string): string {
  return `<Relationship Id="rId${id}" Type="${type}" Target="${target}"/>`;
}

function relations(links: readonly string[]): string {
  return `<Relationships xmlns="${PACKAGE}/relationships">${links.join('')}</Relationships>`;
}

function propertiesXml(properties: Readonly<Record<string, string>>): string {
  const listed = Object.entries(properties).map(
    ([name, value], index) =>
      `<property fmtid="{D5CDD505-2E9C-101B-9397-08002B2CF9AE}" pid="${index + 2}" name="${attributeText(name)}"><vt:lpwstr>${elementText(value)}</vt:lpwstr></property>`,
  );
  return `<Properties xmlns="${OFFICE}/custom-properties" xmlns:vt="${OFFICE}/docPropsVTypes">${listed.join('')}</Properties>`;
}

function stylesXml(): string {
  const font = '<sz val="11"/><name val="Calibri"/><family val="2"/>';
  const xf = (format: number, more = ''): string =>
    `<xf numFmtId="${format}" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"${more}/>`;
  return (
    `<styleSheet xmlns="${MAIN}">` +
    '<numFmts count="3"><numFmt numFmtId="164" formatCode="yyyy-mm-dd"/><numFmt numFmtId="165" formatCode="yyyy-mm-dd hh:mm:ss"/><numFmt numFmtId="166" formatCode="yyyy-mm-dd hh:mm:ss.000"/></numFmts>' +
    `<fonts count="2"><font>${font}</font><font><b/>${font}</font></fonts>` +
    '<fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill></fills>' +
    '<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>' +
    '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>' +
    // In the order of FORMATS. 49 is the format of text: an id that is edited stays text.
    `<cellXfs count="6">${xf(0)}<xf numFmtId="49" fontId="1" fillId="0" borderId="0" xfId="0" applyNumberFormat="1" applyFont="1"/>${xf(49)}${xf(164)}${xf(165)}${xf(166)}</cellXfs>` +
    '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>'
  );
}
