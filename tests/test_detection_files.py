"""Tests of detections.detection_files: which files are detections, and which keep a name."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from gundog.core.errors import Problem
from gundog.detections import detection_files
from gundog.detections.detection_files import Claim, Place
from tests.kit import write_text


def claim(where: str, stem: str, key: str, works: bool) -> Claim:
    path = Path(where, f"{stem}.yaml")
    return Claim(Place(Path(where), path, str(path)), key, works)


drawn = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["", "1", "2", "3"]), st.booleans()),
    max_size=7,
)


@given(drawn)
def test_each_name_and_id_has_one_owner_and_each_loser_is_named(
    files: list[tuple[str, str, bool]],
) -> None:
    """Whatever the order, and also where one of the two does not load."""
    claims = [
        claim(f"d{n}", stem, key, works and key != "") for n, (stem, key, works) in enumerate(files)
    ]

    kept, problems = detection_files.contest(claims)

    winners = [one for one in claims if one.place.path in kept]
    assert all(one.works for one in winners)
    assert len({one.id for one in winners}) == len({one.place.stem for one in winners}) == len(kept)
    named = {problem.path for problem in problems}
    for one in claims:
        rivals = [
            other for other in claims
            if other is not one and (one.id == other.id != "" or one.place.stem == other.place.stem)
        ]  # fmt: skip
        if one.works and not rivals:
            assert one.place.path in kept
        if one.works and one not in winners:
            assert any(other in winners for other in rivals)
        if not rivals:
            assert one.place.shown not in named
        # A pair with one name or id is named, whichever of the two comes first.
        for other in rivals:
            assert one.place.shown in named or other.place.shown in named
    assert not named & {one.place.shown for one in winners}


def test_yml_is_a_detection_and_yaml_beside_it_goes_before(tmp_path: Path) -> None:
    """A file that nobody reads would be a detection that nobody knows is off."""
    for name in ("a.yaml", "a.yml", "b.yml", "sub/a.yml"):
        write_text(tmp_path / "detections" / name, "")
    problems: list[Problem] = []

    found = detection_files.find([tmp_path], lambda path: path.name, problems)

    names = [str(one.path.relative_to(tmp_path / "detections")) for one in found]
    assert names == ["a.yaml", "b.yml", "sub/a.yml"]
    assert [str(one) for one in problems] == [
        "a.yml: exists beside a.yaml, which is read instead: remove one of them"
    ]
