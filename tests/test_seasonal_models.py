"""`series.model` names any point-forecast model; what is wrong with it shows when it is read."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gundog.core.errors import Problem
from gundog.core.fields import Fields
from gundog.detections import seasonal_models
from tests import kit


def read(given: Any) -> tuple[Any, list[str]]:
    """A model as a detection's file gives it, and the problems with it."""
    problems: list[Problem] = []
    model = seasonal_models.read(Fields({"model": given}, "x.yaml", problems, "series"))
    return model, [str(problem) for problem in problems]


@pytest.mark.parametrize("given", [None, "SeasonalWindowAverage", {"SeasonalWindowAverage": None}])
def test_default_is_no_model(given: Any) -> None:
    """However it is written, the default is what a detection without the key has."""
    assert read(given) == (None, [])


@pytest.mark.parametrize(
    ("given", "model"),
    [
        ("CrostonSBA", {"CrostonSBA": {}}),
        ({"TSB": {"alpha_d": 0.1, "alpha_p": 1}}, {"TSB": {"alpha_d": 0.1, "alpha_p": 1}}),
        ({"AutoETS": {"season_length": 24, "damped": None}}, None),
        ({"MSTL": {"season_length": [24, 168], "stl_kwargs": {"robust": True}}}, None),
        ({"ARIMA": {"order": [1, 0, 1]}}, None),
        ({"SeasonalWindowAverage": {"season_length": 24, "window_size": 7}}, None),
        (
            {"MSTL": {"season_length": 24, "trend_forecaster": "CrostonSBA"}},
            {"MSTL": {"season_length": 24, "trend_forecaster": {"CrostonSBA": {}}}},
        ),
    ],
)
def test_model_is_one_of_the_library_with_its_arguments(given: Any, model: Any) -> None:
    """What is read makes an object of the library, and a model within a model is one too."""
    loaded, problems = read(given)

    assert problems == []
    assert loaded == (model or given)
    made = seasonal_models.make(loaded)
    assert type(made).__name__ in loaded
    assert hasattr(getattr(made, "trend_forecaster", made), "forecast")


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("AutoEts", "series.model: unknown model: did you mean AutoETS?"),
        ("GARCH", "series.model: unknown model"),
        ("SklearnModel", "series.model: unknown model 'SklearnModel': use one of ADIDA, ARIMA"),
        (7, "series.model: is 7: write one model of statsforecast"),
        ({"TSB": {}, "MSTL": {}}, "write one model of statsforecast"),
        ({"MSTL": {"season_lenght": 24}}, "MSTL.season_lenght: unknown key: did you mean season_l"),
        ({"MSTL": {"season_lenght": 24}}, "series.model.MSTL.season_length: is missing: write a"),
        ({"TSB": {"alpha_d": 0.1}}, "series.model.TSB.alpha_p: is missing: write a number"),
        ({"TSB": {"alpha_d": "a", "alpha_p": 1}}, "TSB.alpha_d: is 'a': write a number"),
        ({"AutoETS": {"season_length": 0}}, "AutoETS.season_length: is 0: write whole numbers"),
        ({"AutoETS": {"season_length": True}}, "AutoETS.season_length: is True: write whole"),
        ({"MSTL": {"season_length": [24, "a"]}}, "write whole numbers of hours from 1 to 8760"),
        ({"AutoETS": {"model": 3}}, "series.model.AutoETS.model: is 3: write a text"),
        ({"AutoETS": {"damped": "yes"}}, "AutoETS.damped: is 'yes': write true or false"),
        ({"AutoETS": [24]}, "series.model.AutoETS: holds"),
        ({"CrostonSBA": {"alpha": 1}}, "series.model.CrostonSBA: takes no arguments: remove them"),
        ({"MSTL": {"season_length": 24, "trend_forecaster": "AutoEts"}},
         "series.model.MSTL.trend_forecaster: unknown model: did you mean AutoETS?"),
        ({"AutoETS": {"alias": "x"}}, "series.model.AutoETS.alias: unknown key"),
    ],
)  # fmt: skip
def test_mistake_in_a_model_is_named(given: Any, problem: str) -> None:
    """The key, what is wrong, and the nearest name or what to write."""
    model, problems = read(given)

    assert model is None
    assert any(problem in text for text in problems), problems


def test_every_model_that_may_be_named_can_be_made() -> None:
    """No name is offered that is a trap: each is made from its own required arguments."""
    from statsforecast import models

    wanted = {"season_length": 24, "window_size": 2, "alpha": 0.1, "alpha_d": 0.1, "alpha_p": 0.1,
              "test_size": 24, "lags": [1]}  # fmt: skip
    others = {*seasonal_models.UNUSABLE, seasonal_models.DEFAULT}
    for name in sorted(set(models.__all__) - others):
        model, problems = read({name: {}})
        lacking = [text.split(": ")[1].rpartition(".")[2] for text in problems]
        model, problems = read({name: {key: wanted[key] for key in lacking}})
        assert problems == []
        with suppress(ImportError):  # of a library that only this model needs
            assert seasonal_models.make(model)


def test_model_changes_the_hash_and_its_default_does_not(tmp_path: Path) -> None:
    """An upgrade hunts nothing again; another model does."""

    def hash_of(name: str, series: str) -> str:
        root = kit.make_project(tmp_path / name, series=True)
        text = kit.COUNT_YAML.replace("threshold: 4", f"threshold: 4{series}") + kit.HEAD
        kit.write_text(root / "detections/count.yaml", text)
        return kit.load_content(root).hunt("count").hash

    plain = hash_of("plain", "")
    assert hash_of("default", ", model: SeasonalWindowAverage") == plain
    others = [hash_of("a", ", model: CrostonSBA"), hash_of("b", ", model: AutoETS"),
              hash_of("c", ", model: {AutoETS: {season_length: 24}}")]  # fmt: skip
    assert len({plain, *others}) == 4


def test_library_names_the_default_as_we_do() -> None:
    """The default computes what the library computes under that name, to the bit."""
    weekly = np.random.default_rng(1).gamma(0.3, 90, (4, 168))
    model, _ = read({seasonal_models.DEFAULT: {"season_length": 168, "window_size": 4}})

    theirs = seasonal_models.make(model).forecast(weekly.ravel(), h=168)["mean"]

    assert np.array_equal(theirs, weekly.mean(axis=0))
