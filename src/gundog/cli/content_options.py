"""Arguments of the commands about projects and their content."""

from __future__ import annotations

from pathlib import Path

from gundog.cli import finding_commands, import_command, project_commands
from gundog.cli.adding import Add
from gundog.cli.run_options import add_drill


def add_content(add: Add) -> None:
    """Commands about content and projects, and `purge`."""
    check = add(
        "check",
        project_commands.check,
        "check gundog.yaml, detections and SQL, and list all problems at once",
    )
    check.add_argument(
        "--lake",
        action="store_true",
        help="also list each source of the lake and open its newest file",
    )
    check.add_argument(
        "--schema",
        nargs="?",
        const="",
        metavar="DIR",
        help="only print JSON Schemas of the YAML files, for editors; with DIR write them there",
    )
    check.add_argument(
        "--where",
        metavar="NAME",
        help="only print the path of a detection, staged table, source table or SQL file",
    )
    test = add("test", project_commands.test_examples, "run the examples inside the detections")
    test.add_argument("detections", nargs="*", metavar="X", help="only these detections")
    test.add_argument(
        "--mutate",
        action="store_true",
        help="also change the examples that fire in many ways, and check what is found",
    )
    add_drill(add)
    purge = add(
        "purge", finding_commands.purge, "remove all stored data about a mailbox or an account"
    )
    whom = purge.add_mutually_exclusive_group(required=True)
    whom.add_argument("--mailbox", metavar="X", help="address of the mailbox")
    whom.add_argument("--account", metavar="X", help="name, domain\\name, address or SID")
    purge.add_argument(
        "--wait",
        default="0s",
        metavar="DURATION",
        help="how long to wait for another run to end, such as 10m (default: 0s)",
    )
    new = add(
        "new",
        project_commands.new_detection,
        "create a new detection, its SQL and two examples that pass",
    )
    new.add_argument("kind", choices=("match", "series"))
    new.add_argument("name", metavar="NAME", help="lower case with underscores, such as pst_copied")
    _add_import(add)
    init = add(
        "init",
        project_commands.init_project,
        "create a project folder that uses the shipped content",
    )
    init.add_argument("directory", type=Path, metavar="DIR")
    init.add_argument(
        "--from",
        dest="places",
        action="append",
        default=[],
        metavar="URL",
        help="find the tables in a bucket, a container, an Azure storage account or a folder, and"
        " write their paths into gundog.yaml; can be given more than once",
    )
    init.add_argument(
        "--endpoint",
        metavar="URL",
        help="of the store of --from, instead of the environment's or the cloud's own",
    )
    init.add_argument(
        "--prefect",
        action="store_true",
        help="add flows/ and prefect.yaml for a Prefect server, also to an existing project",
    )
    completion = add(
        "completion",
        project_commands.completion,
        "print a script with which a shell completes commands and options",
    )
    completion.add_argument("shell", choices=("bash", "zsh", "fish"))
    samples = add(
        "samples", project_commands.samples, "write parquet_samples/ again, byte for byte the same"
    )
    samples.add_argument(
        "--out", type=Path, metavar="DIR", help="the folder to write (default: parquet_samples)"
    )


def _add_import(add: Add) -> None:
    imports = add(
        "import",
        import_command.import_queries,
        "make detections of KQL queries: Sentinel's YAML, .kql files, Markdown",
    )
    imports.add_argument("files", nargs="*", type=Path, metavar="FILE", help="files with queries")
    imports.add_argument(
        "--group",
        default="",
        metavar="NAME",
        help="what new staged tables are named after (default: the first detection)",
    )
    imports.add_argument(
        "--regroup",
        action="store_true",
        help="without FILE: let all imported detections share one staged table for each source",
    )
    imports.add_argument(
        "--id",
        choices=("keep", "new"),
        default="keep",
        help="keep the query's id (default), or make a new one",
    )
    imports.add_argument(
        "--update",
        action="store_true",
        help="replace the query and SQL of a detection that is there, and keep what people wrote",
    )
    imports.add_argument(
        "--rewrite",
        action="store_true",
        help="add, beside a query that cuts time into bins, a detection with true windows;"
        " beside one that scores a series, a series detection",
    )
    imports.add_argument(
        "--plan", action="store_true", help="show what it would write, and write nothing"
    )
    imports.add_argument(
        "--try",
        dest="dry_run",
        action="store_true",
        help="hunt with them over the newest staged days, show what is found, write nothing",
    )
