"""Who of several processes holds a thing that only one may work on, such as a mailbox. The table alone.

Invariant: one row for each thing; a later holder has a higher fence.
"""

from __future__ import annotations

import sqlalchemy as sa

from hub.store.schema import metadata, moment

holders = sa.Table(
    "holders",
    metadata,
    sa.Column("kind", sa.String(10), primary_key=True),
    sa.Column("name", sa.String(254), primary_key=True),
    sa.Column("holder", sa.String(64), nullable=False),
    sa.Column("fence", sa.BigInteger(), nullable=False),
    moment("until", nullable=False),
)
