"""Until when a request of a data subject must be answered (Art. 12(3) GDPR; Regulation 1182/71, Art. 3(2)(c)).

Within one month of receipt, which may be extended by two further months. A period of months ends with the day of the last
month that has the number of the day of receipt; where that month has no such day, with its last day.
"""

from __future__ import annotations

import calendar
from datetime import datetime

ANSWER_MONTHS = 1
EXTENDED_MONTHS = 3


def months_after(moment: datetime, months: int) -> datetime:
    """The end of the period, at the same time of day."""
    index = moment.month - 1 + months
    year, month = moment.year + index // 12, index % 12 + 1
    return moment.replace(year=year, month=month, day=min(moment.day, calendar.monthrange(year, month)[1]))
