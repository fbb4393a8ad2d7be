"""Opens workbooks of the program in LibreOffice, and compares each cell that it shows with what the program says.

Usage: workbook.py <types.json> <types.xlsx> <october.xlsx> <october.csv>. The first workbook has one row with a value of every type, as
listed in the JSON; the second has the same rows as the CSV. Ends with 1 when LibreOffice shows anything else, or opens a file only in part.
"""

import csv
import json
import os
import subprocess
import sys
import tempfile

# Comma, double quotes, UTF-8, from row 1, quoted as needed, as shown on the sheet.
FILTER = "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,true,false"


def shown(workbook):
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "HOME": folder}
        command = ["soffice", "--headless", "--convert-to", FILTER, "--outdir", folder, os.path.abspath(workbook)]
        subprocess.run(command, check=True, capture_output=True, env=environment, timeout=300)
        name = os.path.splitext(os.path.basename(workbook))[0]
        with open(os.path.join(folder, f"{name}.csv"), newline="", encoding="utf-8") as file:
            return list(csv.reader(file))


def rows(path):
    with open(path, newline="", encoding="utf-8-sig") as file:
        return list(csv.reader(file))


def compare(name, found, wanted):
    cells = sum(len(row) for row in wanted)
    different = [] if found == wanted else [pair for pair in zip(sum(found, []), sum(wanted, [])) if pair[0] != pair[1]]
    same = found == wanted and cells > 0
    print(f"{'ok    ' if same else 'FAILED'} LibreOffice: {name}: {cells} cells" + ("" if same else f", shown and expected: {different[:5]}"), flush=True)
    return same


def main(types, types_workbook, workbook, answer):
    listed = json.load(open(types, encoding="utf-8"))
    wanted = [str(entry.get("shown", entry["cell"])) for entry in listed]
    results = [
        compare("every type", shown(types_workbook)[1:], [wanted]),
        compare("a report", shown(workbook), rows(answer)),
    ]
    sys.exit(0 if all(results) else 1)


main(*sys.argv[1:])
