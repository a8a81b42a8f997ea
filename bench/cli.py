"""The command line: one workload anywhere, the table on a colony, or Swift and a colony side by side."""

import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import click
from rich.console import Console

from bench import colony_store, swift_store
from bench.processes import StoreFailed
from bench.render import print_comparison, print_report
from bench.report import MalformedReport, Report, from_json, merge, to_json
from bench.runner import with_length
from bench.session import run_table
from bench.sigv4 import S3Keys
from bench.store import RunningStore, s3_endpoint, swift_endpoint
from bench.workload import DEFAULT_CONNECTIONS, GOALS, Api, Workload, choose_rows, parse_mix, parse_size

_DRIVERS = click.Choice(["auto", "wrk", "async"])
_EXIT_FAILED_ROW = 1
_EXIT_NO_STORE = 3


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.pass_context
def main(context: click.Context) -> None:
    """Measure S3 and Swift stores: requests/s, MB/s, p50, p99 and server CPU per request."""
    # SIGTERM unwinds as Ctrl-C does, so that nothing which was started stays behind.
    before = signal.signal(signal.SIGTERM, _interrupt)
    context.call_on_close(lambda: signal.signal(signal.SIGTERM, before))


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _from_text(parse: Callable[[str], Any]) -> Callable[[click.Context, click.Parameter, str | None], Any]:
    def callback(context: click.Context, parameter: click.Parameter, value: str | None) -> Any:
        try:
            return parse(value) if value is not None else None
        except ValueError as error:
            raise click.BadParameter(str(error)) from None

    return callback


def _choose(value: str) -> tuple[Workload, ...]:
    return choose_rows(value)


def output_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that every measuring command shares."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print the report as JSON, and no table."),
        click.option(
            "--save", type=click.Path(dir_okay=False, path_type=Path), help="Write the report as JSON too."
        ),
        click.option(
            "--driver", type=_DRIVERS, default="auto", show_default=True, help="The load generator."
        ),
    ):
        command = option(command)
    return command


def table_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of the commands that run a table."""
    for option in (
        click.option(
            "--rows", callback=_from_text(_choose), help="Workloads by name, with commas, or `all`."
        ),
        click.option(
            "--seconds", type=click.FloatRange(min=0.5), default=5.0, show_default=True, help="For each run."
        ),
        click.option(
            "--connections", type=click.IntRange(1, 1024), default=DEFAULT_CONNECTIONS, show_default=True
        ),
        click.option(
            "--rounds", type=click.IntRange(1, 50), default=1, show_default=True, help="The median is kept."
        ),
        click.option(
            "--data",
            type=click.Path(file_okay=False, path_type=Path),
            help="Existing folder on the disk to measure; a folder made inside is removed at the end.",
        ),
        click.option("--keep", is_flag=True, help="Leave data and logs of the stores in place."),
    ):
        command = option(command)
    return output_options(command)


@main.command()
@click.option("--api", type=click.Choice(["s3", "swift"]), required=True)
@click.option(
    "--endpoint", required=True, help="S3: the service. Swift: the address that gives tokens, …/auth/v1.0."
)
@click.option(
    "--key", "user", required=True, envvar="BENCH_KEY", help="S3 access key, or Swift user (account:user)."
)
@click.option("--secret", required=True, envvar="BENCH_SECRET", help="S3 secret key, or Swift password.")
@click.option("--region", default="us-east-1", show_default=True)
@click.option(
    "--mix", callback=_from_text(parse_mix), default="get", show_default=True, help="`get`, or get=80,put=20."
)
@click.option(
    "--size", callback=_from_text(parse_size), default="4K", show_default=True, help="Bytes of an object."
)
@click.option("--connections", type=click.IntRange(1, 1024), default=DEFAULT_CONNECTIONS, show_default=True)
@click.option("--seconds", type=click.FloatRange(min=0.5), default=5.0, show_default=True)
@click.option("--count", type=click.IntRange(min=1), help="End after so many requests instead of a time.")
@click.option(
    "--objects", type=click.IntRange(min=1), default=1_000, show_default=True, help="To be read or listed."
)
@click.option("--listing-limit", type=click.IntRange(1, 10_000), default=1_000, show_default=True)
@click.option(
    "--server-pid", "server_pids", type=int, multiple=True, help="Its CPU and its descendants' are counted."
)
@output_options
def run(*, api: str, endpoint: str, user: str, secret: str, region: str, **options: Any) -> None:
    """Run one workload against an S3 or Swift endpoint. Makes containers named bench-…; leaves them there."""
    with _reporting_failures():
        if api == "s3":
            reached = s3_endpoint(endpoint, S3Keys(user, secret, region))
        else:
            reached = swift_endpoint(endpoint, user=user, key=secret)
        store = RunningStore(api, {Api(api): reached}, options["server_pids"], endpoint)
        workload = _single_workload(Api(api), options)
        report = run_table([store], [workload], rounds=1, driver=options["driver"], console=_progress())
    _deliver(report, as_json=options["as_json"], save=options["save"])


def _single_workload(api: Api, options: dict[str, Any]) -> Workload:
    label = ",".join(operation.name for operation, _ in options["mix"])
    return Workload(
        name=f"{api.value}-{label.lower()}-{options['size']}",
        title=f"{label} {options['size']:,} bytes",
        api=api,
        mix=options["mix"],
        size_bytes=options["size"],
        connections=options["connections"],
        duration_s=options["seconds"],
        count_max=options["count"],
        objects=options["objects"],
        listing_limit=options["listing_limit"],
    )


@main.command()
@table_options
def colony(*, data: Path | None, keep: bool, **options: Any) -> None:
    """Start a colony of this tree, run the standard table upon it and stop it."""
    with _reporting_failures(), _workspace(data, keep=keep) as folder, ExitStack() as stack:
        store = _started(stack, lambda: colony_store.start(folder / "colony"))
        report = _measure([store], options)
    _deliver(report, as_json=options["as_json"], save=options["save"])


@main.command()
@click.option("--only", type=click.Choice([swift_store.NAME, colony_store.NAME]), help="Measure one side.")
@click.option(
    "--work",
    type=click.Path(file_okay=False, path_type=Path),
    default=lambda: (
        Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "colonnade" / "bench-swift"
    ),
    help="Where Swift's environment is kept between runs.  [default: ~/.cache/colonnade/bench-swift]",
)
@click.option(
    "--no-upgrade", is_flag=True, help="Use the Swift that is installed there, whatever its version."
)
@click.option(
    "--load",
    "loaded",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="A saved report whose rows stand beside those measured now.",
)
@table_options
def swift(
    *, only: str | None, work: Path, loaded: tuple[Path, ...], data: Path | None, keep: bool, **options: Any
) -> None:
    """Install the newest OpenStack Swift and measure it and a colony in turn, on one disk, in one run."""
    earlier = [_read_report(path) for path in loaded]
    with _reporting_failures(), _workspace(data or work, keep=keep) as folder, ExitStack() as stack:
        stores = []
        if only != colony_store.NAME:
            environment = _swift_environment(work, upgrade=not options["no_upgrade"])
            stores.append(_started(stack, lambda: swift_store.start(environment, folder / "swift")))
        if only != swift_store.NAME:
            stores.append(_started(stack, lambda: colony_store.start(folder / "colony")))
        report = merge([*earlier, _measure(stores, options)])
    _deliver(report, as_json=options["as_json"], save=options["save"])


def _swift_environment(work: Path, *, upgrade: bool) -> Path:
    environment = work / "venv"
    with _progress().status("installing OpenStack Swift"):
        version = swift_store.install(environment) if upgrade else swift_store.installed_version(environment)
    _progress().print(f"OpenStack Swift {version}", style="dim")
    return environment


@main.command()
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--json", "as_json", is_flag=True, help="Print the merged report as JSON.")
@click.option(
    "--save", type=click.Path(dir_okay=False, path_type=Path), help="Write the merged report as JSON too."
)
def show(files: tuple[Path, ...], as_json: bool, save: Path | None) -> None:
    """Show saved reports, merged: a later file replaces the rows of an earlier one."""
    _deliver(merge(_read_report(path) for path in files), as_json=as_json, save=save)


def _progress() -> Console:
    return Console(stderr=True)


def _measure(stores: Sequence[RunningStore], options: dict[str, Any]) -> Report:
    rows: tuple[Workload, ...] = options["rows"] or choose_rows(None)
    workloads = [
        with_length(row, seconds=options["seconds"], connections=options["connections"]) for row in rows
    ]
    return run_table(
        stores, workloads, rounds=options["rounds"], driver=options["driver"], console=_progress()
    )


def _started(stack: ExitStack, start: Callable[[], RunningStore]) -> RunningStore:
    with _progress().status("starting a store"):
        store = start()
    stack.callback(_stop, store)
    return store


def _stop(store: RunningStore) -> None:
    with _uninterrupted():
        store.stop()


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Clean up to the end, however often Ctrl-C is pressed meanwhile."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _workspace(parent: Path | None, *, keep: bool) -> Iterator[Path]:
    """A fresh folder on the disk to measure, removed at the end unless it is to be kept."""
    if parent is not None:
        parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=parent))
    try:
        yield folder
    finally:
        if keep:
            click.echo(f"kept {folder}", err=True)
        else:
            with _uninterrupted():
                shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _reporting_failures() -> Iterator[None]:
    try:
        yield
    except StoreFailed as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(_EXIT_NO_STORE)


def _read_report(path: Path) -> Report:
    try:
        return from_json(json.loads(path.read_text()))
    except (ValueError, MalformedReport) as error:
        raise click.ClickException(f"{path}: {error}") from error


def _deliver(report: Report, *, as_json: bool, save: Path | None) -> None:
    text = json.dumps(to_json(report), indent=2)
    if save is not None:
        save.write_text(text + "\n")
    if as_json:
        click.echo(text)
    else:
        # A pipe has no width of its own, and a table folded to 80 columns cannot be read.
        console = Console() if sys.stdout.isatty() else Console(width=160)
        print_report(console, report)
        print_comparison(console, report, baseline=swift_store.NAME, subject=colony_store.NAME, goals=GOALS)
    if report.failed:
        sys.exit(_EXIT_FAILED_ROW)
