"""Every kind of operation there is, by its word: what `OperationRuns` can run."""

from __future__ import annotations

from collections.abc import Mapping

from hub.crm.base import bulk_edit
from hub.crm.base.bulk_edit import BulkEdit
from hub.crm.base.operations import Work

WORKS: Mapping[str, Work] = {bulk_edit.KIND: BulkEdit()}
