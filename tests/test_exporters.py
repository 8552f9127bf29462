"""Tests of lake.exporters: names of exporters stand for columns that a file has under no other."""

from __future__ import annotations

import pytest

from gundog.lake import exporters
from gundog.lake.columns import DoubledColumnError
from gundog.lake.path import AZURE_DATA_EXPLORER, EXPORTERS, LOG_ANALYTICS

WANTED = ["Timestamp", "Id", "Name"]


def aliases(exporter: str, *held: str, **said: str) -> dict[str, str]:
    """What the columns of a file are read as."""
    return exporters.aliases(held, "Things", WANTED, said, exporter)


@pytest.mark.parametrize(
    ("exporter", "held", "known"),
    [
        (LOG_ANALYTICS, ["TimeGenerated", "Id_d", "name_S"],
         {"Timestamp": "TimeGenerated", "Id": "Id_d", "Name": "name_S"}),
        (LOG_ANALYTICS, ["TimeGenerated [UTC]", "Id", "Name_g"],
         {"Timestamp": "TimeGenerated [UTC]", "Name": "Name_g"}),
        (LOG_ANALYTICS, ["Timestamp_t", "TimeGenerated"], {"Timestamp": "Timestamp_t"}),
        (LOG_ANALYTICS, ["timestamp", "TimeGenerated", "Id", "Id_d"], {}),
        (AZURE_DATA_EXPLORER, ["properties_Timestamp", "properties.Id", "Name"],
         {"Timestamp": "properties_Timestamp", "Id": "properties.Id"}),
        (AZURE_DATA_EXPLORER, ["Id_s", "TimeGenerated"], {"Timestamp": "TimeGenerated"}),
        ("streaming-api", ["TimeGenerated", "Id_s"], {}),
        ("", ["TimeGenerated", "Id_s"], {}),
    ],
)  # fmt: skip
def test_names_of_an_exporter_stand_for_columns(
    exporter: str, held: list[str], known: dict[str, str]
) -> None:
    """In any case of letters; the source's own name goes first."""
    assert aliases(exporter, *held) == known


def test_what_is_said_wins() -> None:
    """Also over several names, which are refused without it."""
    with pytest.raises(DoubledColumnError, match=r"2 columns for Id of Things: Id_g and Id_s"):
        aliases(LOG_ANALYTICS, "Timestamp", "Id_g", "Id_s")

    assert aliases(LOG_ANALYTICS, "Timestamp", "Id_g", "Id_s", Id="Id_g") == {"Id": "Id_g"}


def test_exporter_is_guessed_from_several_names() -> None:
    """One alone may be anybody's."""
    assert exporters.guess(["Id", "Name"], ["Id_s", "Name_g"]) == LOG_ANALYTICS
    assert exporters.guess(["Id"], ["id_s", "TimeGenerated [UTC]"]) == LOG_ANALYTICS
    assert exporters.guess(WANTED, ["properties_Id", "properties.Name"]) == AZURE_DATA_EXPLORER
    assert exporters.guess(WANTED, ["Id_s", "other"]) == ""


def test_every_spelling_is_fetched() -> None:
    """A copy of some columns must have those that an exporter may call so."""
    for exporter in EXPORTERS:
        ranks = exporters.other_names(exporter, "Timestamp")
        for name in {name for rank in ranks for name in rank}:
            assert aliases(exporter, name) == {"Timestamp": name}
