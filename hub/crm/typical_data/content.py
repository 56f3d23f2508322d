"""The content of the typical data: the values of each list from the files in `values`, and the characteristics. Pure.

Sources: industries are sections and classes of ОКВЭД 2 (the same as those of NACE Rev. 2), regions the subjects of
ISO 3166-2:RU in their federal districts.
"""

from __future__ import annotations

import csv
import functools
from importlib.resources import files

from hub.crm.base.characteristic_definitions import DefinitionInput
from hub.crm.base.dictionaries import ValueInput


@functools.cache
def values_of(dictionary: str) -> tuple[ValueInput, ...]:
    """Return the delivered values of a list in their order, each behind the one above it; none for an unknown list."""
    source = files("hub.crm.typical_data") / "values" / f"{dictionary}.tsv"
    if not source.is_file():
        return ()
    with source.open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    return tuple(
        ValueInput(
            key=row["key"],
            parent=row["parent"] or None,
            label={"ru": row["ru"], "en": row["en"]},
            color=row["color"],
            icon=row["icon"],
        )
        for row in rows
    )


GROUP = {"ru": "Производство и финансы", "en": "Production and finance"}
CHARACTERISTICS: dict[str, tuple[DefinitionInput, ...]] = {
    "client": (
        DefinitionInput(
            key="turnover",
            type="number",
            label={"ru": "Годовой оборот, млн ₽", "en": "Annual turnover, ₽ million"},
            help={"ru": "За последний полный год", "en": "Of the last full year"},
        ),
        DefinitionInput(
            key="net_profit",
            type="number",
            label={"ru": "Чистая прибыль, млн ₽", "en": "Net profit, ₽ million"},
            help={"ru": "За последний полный год", "en": "Of the last full year"},
        ),
        DefinitionInput(
            key="headcount", type="integer", label={"ru": "Численность сотрудников", "en": "Number of employees"}
        ),
        DefinitionInput(
            key="products", type="long_text", label={"ru": "Основная продукция и услуги", "en": "Products and services"}
        ),
        DefinitionInput(
            key="production_sites",
            type="long_text",
            label={"ru": "Производственные площадки", "en": "Production sites"},
        ),
    )
}
"""By kind."""
