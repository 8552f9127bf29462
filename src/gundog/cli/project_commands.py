"""Commands on a project's content: check, test, new, init and samples."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gundog.core.errors import Problem
from gundog.core.wording import count

if TYPE_CHECKING:
    from gundog.detections.hunt import Hunt
    from gundog.kql_import.matching import Advice
    from gundog.run.run import Project
    from gundog.testing.trying import Trials
from gundog.cli import common, run_commands, waiting


def check(arguments: argparse.Namespace) -> int:
    if arguments.where:
        return _where(arguments)
    if arguments.schema is not None:
        return _schema(arguments)
    project = common.load(arguments, "lake", *common.SENDING)
    problems = [*project.content.problems, *project.problems, *_misspelt(project)]
    imported = list(_imported(project))
    problems += [told for told in imported if isinstance(told, Problem)]
    for problem in problems:
        common.complain(problem)
    content = project.content
    counted = (
        f"{count(len(content.hunts), 'detection')} and"
        f" {count(len(content.stages), 'staged table')} loaded"
    )
    if problems:
        common.complain(f"{count(len(problems), 'problem')}; {counted}")
        return 2
    sources = count(len(content.sources), "source table")
    advice = (str(told) for told in imported if not isinstance(told, Problem))
    for remark in (*_remarks(content.hunts), *advice):
        sys.stdout.write(f"{remark}\n")
    sys.stdout.write(f"OK: {counted} from {sources}\n")
    if arguments.lake:
        from gundog.cli import lake_check

        return lake_check.check(project, common.console(), arguments)
    return 0


def _remarks(hunts: Sequence[Hunt]) -> Iterator[str]:
    """What is odd about detections that load and run: techniques that ATT&CK does not have."""
    from gundog.export import attack_ids

    for hunt in hunts:
        for remark in attack_ids.remarks(hunt.detection.techniques):
            yield f"{hunt.detection.stem}: relevantTechniques: {remark}"


def _where(arguments: argparse.Namespace) -> int:
    """Prints the paths of the files with one name."""
    from gundog.detections import content_folder

    settings = common.settings(arguments)
    folders = content_folder.folders(settings.content, settings.root)
    for path in content_folder.named(folders, arguments.where):
        sys.stdout.write(f"{path}\n")
    return 0


def _schema(arguments: argparse.Namespace) -> int:
    """Prints the schemas of the YAML files, or writes each into a file of a folder."""
    from gundog.project import scaffold, schemas

    if not arguments.schema:
        sys.stdout.write(json.dumps(schemas.schemas(), indent=1, ensure_ascii=True) + "\n")
        return 0
    for path in scaffold.write_schemas(Path(arguments.schema), again=True):
        sys.stdout.write(f"wrote {run_commands.relative(path)}\n")
    return 0


def _imported(project: Project) -> Iterator[Problem | Advice]:
    """Imported detections whose query and SQL do not belong together any more.

    Of the project's own ones also what the critic says of them.
    """
    if not any(hunt.detection.query for hunt in project.content.hunts):
        return
    from gundog.detections import content_folder
    from gundog.kql_import import importing, matching  # loads the translator, if it is there

    folders = content_folder.folders(project.settings.content, project.settings.root)
    sources = importing.sources_of(project.content, folders)
    own = {path.stem for path in (project.settings.root / "detections").glob("*.yaml")}
    for told in matching.checked(project.content, sources):
        if isinstance(told, Problem) or told.stem in own:
            yield told


def _misspelt(project: Project) -> Iterator[Problem]:
    """The channels whose address is taken, and shows nothing there in the form that it gets."""
    if not project.settings.notify:
        return
    from gundog.notify import services  # loads TLS and HTTP: only channels need them

    for place, channel in enumerate(project.settings.notify):
        if meant := services.meant(channel.url):
            yield Problem("gundog.yaml", f"notify.{place}.url", meant)


def completion(arguments: argparse.Namespace) -> int:
    """Prints a shell's completion script, made from the commands' own arguments."""
    import shtab

    sys.stdout.write(shtab.complete(arguments.whole, arguments.shell) + "\n")
    return 0


def test_examples(arguments: argparse.Namespace) -> int:
    from gundog.core.child import Child

    with Child("gundog.detections.content") as helper:
        project = common.load(arguments, helper=helper)
        from gundog.testing.trying import Trials

        for problem in project.content.problems:
            common.complain(problem)
        named = [project.content.hunt(name) for name in arguments.detections]
        hunts, trials = named or project.content.hunts, Trials(helper, project)
        failed = _try_examples(trials, waiting.each(hunts, arguments, "trying", "detection"))
        if arguments.mutate:
            failed += _mutate(trials, waiting.each(hunts, arguments, "changing", "detection"))
    return 2 if failed or project.content.problems else 0


def _try_examples(trials: Trials, hunts: Iterable[Hunt]) -> int:
    """Runs every example; returns how many failed."""
    tried = failed = 0
    for hunt in hunts:
        for example in hunt.detection.examples:
            tried += 1
            problems = trials.check(hunt, example)
            failed += bool(problems)
            for line in problems:
                common.complain(f"{hunt.detection.stem}: {example.name}: {line}")
    sys.stdout.write(f"{count(tried, 'example')}, {failed} failed\n")
    return failed


def _mutate(trials: Trials, hunts: Iterable[Hunt]) -> int:
    """Judges the mutations of every firing example; returns how many failed."""
    tried = failed = 0
    for hunt in hunts:
        for example in hunt.detection.examples:
            for verdict in trials.mutations(hunt, example):
                tried += 1
                failed += bool(verdict.problem)
                if verdict.problem:
                    where = f"{hunt.detection.stem}: {example.name}: {verdict.name}"
                    common.complain(f"{where}: {verdict.problem}")
    sys.stdout.write(f"{count(tried, 'mutation')}, {failed} failed\n")
    return failed


def new_detection(arguments: argparse.Namespace) -> int:
    from gundog.project import scaffold

    for path in scaffold.new(arguments.project, arguments.kind, arguments.name):
        sys.stdout.write(f"wrote {run_commands.relative(path)}\n")
    sys.stdout.write(f"try it: gundog test {arguments.name}\n")
    return 0


def init_project(arguments: argparse.Namespace) -> int:
    from gundog.project import scaffold

    directory = arguments.directory
    if arguments.places:
        from gundog.cli import init_from

        return init_from.run(arguments)
    written = scaffold.init(directory, prefect=arguments.prefect)
    for path in written:
        sys.stdout.write(f"wrote {path}\n")
    if directory / "gundog.yaml" in written:
        sys.stdout.write(f"next: cd {directory}, set lake in gundog.yaml, gundog check\n")
    if arguments.prefect:
        sys.stdout.write(
            f"to deploy: cd {directory}, export GUNDOG_HOME=$PWD, prefect --no-prompt deploy --all"
            " (docs/operations.md)\n"
        )
    return 0


def samples(arguments: argparse.Namespace) -> int:
    from gundog.samples import files

    out = arguments.out or arguments.project / "parquet_samples"
    files.write(out)
    sys.stdout.write(f"wrote {out}\n")
    return 0
