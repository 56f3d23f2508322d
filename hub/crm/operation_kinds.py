"""Every kind of operation there is, by its word: what `OperationRuns` can run."""

from __future__ import annotations

from collections.abc import Mapping

from hub.crm.base import bulk_archive, bulk_edit, change_type, merge_values
from hub.crm.base.bulk_archive import BulkArchive
from hub.crm.base.bulk_edit import BulkEdit
from hub.crm.base.change_type import ChangeType
from hub.crm.base.labels import _
from hub.crm.base.merge_values import MergeValues
from hub.crm.base.operations import Work

WORKS: Mapping[str, Work] = {
    bulk_edit.KIND: BulkEdit(),
    bulk_archive.ARCHIVE: BulkArchive(archives=True),
    bulk_archive.RESTORE: BulkArchive(archives=False),
    change_type.KIND: ChangeType(),
    merge_values.KIND: MergeValues(),
}
LABELS: Mapping[str, str] = {
    bulk_archive.ARCHIVE: _("Archiving of many records"),
    bulk_archive.RESTORE: _("Return of many records"),
    bulk_edit.KIND: _("Edit of many records"),
    change_type.KIND: _("Change of a field's type"),
    merge_values.KIND: _("Merge of two values"),
}
