"""What an operator is told of a PBX's records before a gap needs them: for `hub doctor`. Changes nothing."""

from __future__ import annotations

from hub.errors import Unavailable
from hub.settings import Pbx
from hub.telephony.backfill.cdr import epoch_of
from hub.telephony.backfill.cdr_source import CsvSource, source_of
from hub.telephony.recordings.recording_check import Finding

MAX_OFF_S = 600


async def check(pbx: Pbx) -> list[Finding]:
    """Return what is wrong with the records of a PBX; nothing where none are configured."""
    source = source_of(pbx)
    if source is None:
        return []
    is_csv = isinstance(source, CsvSource)
    try:
        read = await source.latest()
    except Unavailable as error:
        mend = "cdr_csv = where this machine sees it; usermod -aG asterisk hub; and on the PBX mkdir its folder"
        return [Finding(error.message, mend if is_csv else "cdr_database, cdr_table; GRANT SELECT ON cdr TO hub")]
    key = "cdr_csv" if is_csv else "cdr_database"
    if not read.records:
        if not read.malformed:
            return []  # a PBX that nobody has called yet
        text = f"{key}: none of its last {read.malformed} rows can be used: each must name its uniqueid"
        return [Finding(text, "cdr.conf: [csv] loguniqueid = yes" if is_csv else "record `uniqueid` in the table")]
    # A row that is a later part of a call begins after its channel did: the least difference is the clock's.
    told = [(one.start.timestamp(), epoch) for one in read.records if (epoch := epoch_of(one.uniqueid)) is not None]
    off_s = min((start - epoch for start, epoch in told), key=abs, default=0.0)
    if abs(off_s) <= MAX_OFF_S:
        return []
    text = f"{key}: its times are {round(off_s / 60):+d} min off when they are read as {pbx.cdr_time_zone}"
    return [Finding(text, "cdr_time_zone = the PBX's own, or UTC with usegmtime = yes in cdr.conf")]
