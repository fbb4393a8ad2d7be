"""All cases, in the order of the report."""

from __future__ import annotations

import answer_cases
import source_cases
from case import Case


def all_cases() -> list[Case]:
    return [
        *source_cases.plain(),
        *source_cases.changed_in_place(),
        *source_cases.shared_ids(),
        *source_cases.ids(),
        *source_cases.empty_properties(),
        *source_cases.clocks(),
        *source_cases.rotation(),
        *source_cases.older_lake(),
        *answer_cases.odd_answers(),
        *answer_cases.removed_rows(),
        *answer_cases.caps(),
        *answer_cases.wire(),
        *answer_cases.refused_functions(),
    ]
