"""`python -m backup`: the scheduler, and what an operator does by `docker exec`."""

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from backup import restore
from backup.context import Context
from backup.errors import BackupError, BusyError
from backup.logs import Log
from backup.parts import FILES, POSTGRES, QDRANT
from backup.run import back_up
from backup.scheduler import Scheduler
from backup.settings import from_environment
from backup.state import Store
from backup.verify import verify_now

FAILED = 1
BUSY = 75  # EX_TEMPFAIL: try again later


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit status."""
    parsed = _parser().parse_args(arguments)
    log = Log(sys.stderr)
    # restic sends it to the owner of a lock to see whether it lives; the number may be this process' by now.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.umask(0o077)  # copies of databases pass through the cache
    try:
        settings = from_environment(os.environ)
        stream = sys.stdout if parsed.command == "serve" else sys.stderr
        log = Log(stream, settings.secrets() if settings.config.is_dir() else ())
        context = Context(settings=settings, log=log, store=Store(settings.cache))
        if parsed.command != "serve":
            signal.signal(signal.SIGTERM, lambda *_: context.stop.set())
            signal.signal(signal.SIGINT, lambda *_: context.stop.set())
        return _command(context, parsed)
    except BusyError as error:
        log.failure("busy", error=str(error))
        return BUSY
    except BackupError as error:
        log.failure("failed", error=str(error))
        return FAILED


def _command(context: Context, parsed: argparse.Namespace) -> int:
    match parsed.command:
        case "serve":
            Scheduler(context).serve()
            return 0
        case "now":
            return 0 if back_up(context, only_failed=parsed.only_failed) else FAILED
        case "verify":
            return 0 if verify_now(context) else FAILED
        case "list":
            _list(context, as_json=parsed.json)
            return 0
        case _:
            _restore(context, parsed)
            return 0


def _list(context: Context, *, as_json: bool) -> None:
    found = context.restic.snapshots()
    if as_json:
        print(json.dumps([{"id": s.id, "time": s.time.isoformat(), "part": s.part} for s in found], indent=1))
        return
    for snapshot in found:
        print(f"{snapshot.id}  {snapshot.time:%Y-%m-%d %H:%M:%S}Z  {snapshot.part}")


def _restore(context: Context, parsed: argparse.Namespace) -> None:
    snapshot = restore.find(context, parsed.kind, parsed.name, parsed.snapshot)
    match parsed.kind:
        case "files" if parsed.stdout:
            restore.files_to_stdout(context, snapshot)
        case _ if parsed.stdout:
            restore.stream_to_stdout(context, snapshot)
        case "files":
            restore.files_to_folder(context, snapshot, parsed.target, force=parsed.force)
        case "postgres":
            restore.to_postgres(
                context,
                snapshot,
                parsed.into or parsed.name,
                role=parsed.role,
                password=_password(parsed.password_file),
                force=parsed.force,
            )
        case _:
            restore.to_qdrant(context, snapshot, parsed.into or parsed.name, force=parsed.force)


def _password(file: str) -> str:
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise BackupError(f"the password file {file} cannot be read: {error.strerror}") from None
    return text.strip()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m backup", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="run the schedule (what the container does)")
    now = commands.add_parser(
        "now", help="back up at once; exit status 1 when a part fails, 75 while a run is under way"
    )
    now.add_argument("--only-failed", action="store_true", help="only what failed in the last run")
    commands.add_parser("verify", help="check the repository and read a part of it")
    listing = commands.add_parser("list", help="what can be restored")
    listing.add_argument("--json", action="store_true")
    kinds = commands.add_parser("restore", help="get data back").add_subparsers(dest="kind", required=True)
    for kind, what in ((FILES, "volume"), (POSTGRES, "database"), (QDRANT, "collection")):
        _restore_options(kinds.add_parser(kind, help=f"a {what}"), kind)
    return parser


def _restore_options(parser: argparse.ArgumentParser, kind: str) -> None:
    parser.add_argument("name")
    parser.add_argument("--snapshot", default="latest", help="an id that `list` shows")
    parser.add_argument("--force", action="store_true", help="also where there is data")
    where = parser.add_mutually_exclusive_group(required=kind == FILES)
    where.add_argument("--stdout", action="store_true", help="print it: a volume as tar, the others as they are")
    if kind == FILES:
        where.add_argument("--target", type=Path, help="a folder")
        return
    where.add_argument("--into", help="another name for it; without, its own")
    if kind == POSTGRES:
        parser.add_argument("--role", default="postgres", help="the role that restores, as the database's owner")
        parser.add_argument("--password-file", default="-", help="its password; -: standard input")


if __name__ == "__main__":
    sys.exit(main())
