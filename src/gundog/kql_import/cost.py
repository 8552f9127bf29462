"""What an import adds to the reading of the first night, said before anything is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from gundog.core.errors import StoreError
from gundog.core.times import DAY, Interval
from gundog.core.wording import count
from gundog.kql_import.importing import Imported
from gundog.lake import listing
from gundog.project.settings import Settings

_SLACK = timedelta(hours=1)


@dataclass(frozen=True)
class Volume:
    """The files that new staged tables of a source are first read from.

    Args:
        source: the table.
        stages: its new staged tables; none when all hunts read one that is there.
        files, size: how many files and bytes; `size` is of whole files, and of a remote one only
            the needed columns are fetched.
        error: why they could not be listed; empty when they were.
    """

    source: str
    stages: tuple[str, ...]
    files: int = 0
    size: int = 0
    error: str = ""

    def __str__(self) -> str:
        if not self.stages:
            return f"{self.source}: a staged table with these rows is there: nothing more is read"
        made = f"{self.source}: {', '.join(self.stages)} will be new"
        if self.error:
            return f"{made}; how much the first night reads is not known: {self.error}"
        much = f"{count(self.files, 'file')}, {self.size / 1e6:,.1f} MB"
        return f"{made}: the first night reads the {much} of its span"


def volumes(
    imported: Sequence[Imported], settings: Settings, environ: Mapping[str, str], now: datetime
) -> Iterator[Volume]:
    """What is read for the first night of the detections, by source with a path under `lake`.

    Args:
        imported: what will be written.
        settings: the project's.
        environ: where stores' endpoints and credentials come from.
        now: the moment of the import.
    """
    for source in sorted({name for hunt in imported for name in hunt.sources} & set(settings.lake)):
        readers = [hunt for hunt in imported if hunt.stages.get(source) in hunt.new]
        stages = tuple(sorted({hunt.stages[source] for hunt in readers}))
        if not stages:
            yield Volume(source, ())
            continue
        reach = max(hunt.translation.frequency + hunt.translation.lookback for hunt in readers)
        span = Interval(now - reach - DAY - _SLACK, now)
        try:
            paths = settings.lake[source]
            files = listing.list_files(source, paths, span, settings.root, environ)
        except StoreError as error:
            yield Volume(source, stages, error=str(error))
            continue
        yield Volume(source, stages, len(files), sum(file.size for file in files))
