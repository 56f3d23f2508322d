"""The requisites of the sample companies: made up, with right check digits, and the same at each start.

The region is that of the company's telephone. Decides no rules of requisites: `crm.clients` checks them as it does
everybody's.
"""

from __future__ import annotations

import re

from stdnum.ru import inn, ogrn

REGIONS = {"495": "77", "499": "77", "812": "78", "343": "66", "383": "54", "843": "16", "846": "63", "861": "23"}
"""The first two digits of a company's numbers, by the code of its city."""
MOSCOW = "77"


def of_company(number: int, phone: str) -> dict[str, str]:
    """Return the INN, KPP and OGRN of the company of this number, as its client's input takes them."""
    digits = re.sub(r"[^0-9]", "", phone)
    region = REGIONS.get(digits[1:4], MOSCOW)
    office = f"{region}{number % 40 + 1:02}"
    taxpayer = f"{office}{100_000 + number * 7_919 % 900_000:06}"[:9]
    registered = f"1{number % 20 + 3:02}{region}{1_000_000 + number * 611_953 % 9_000_000:07}"
    return {
        "inn": taxpayer + inn.calc_company_check_digit(taxpayer),
        "kpp": f"{office}01001",
        "ogrn": registered + ogrn.calc_check_digit(f"{registered}0"),
    }
