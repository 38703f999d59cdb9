"""`make preview`: plans the stacks with the real engine and the policy pack, without an account, and shows the plan."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from engine.cli import find_pulumi
from engine.planning import plan_stacks
from engine.progress import Counts
from engine.report import render, service_rows
from engine.root import CHECKOUT, PREVIEW
from engine.table import Paint
from engine.toolchain import BuildError
from engine.workspace import WorkspaceError

STACKS = ("thanos", "oracle1")
"""In the order in which they are deployed: `thanos` owns what both share."""


def main() -> int:
    """Plan, report, and say by the exit status whether all is well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stacks", nargs="*", metavar="stack", help=f"default: {' '.join(STACKS)}")
    parser.add_argument("--project", type=Path, default=CHECKOUT, help="folder with Pulumi.yaml and __main__.py")
    parser.add_argument("--folder", type=Path, default=PREVIEW, help="where state and working copies go")
    args = parser.parse_args()
    stacks = args.stacks or list(STACKS)
    pack = args.project.resolve() / "policies"
    started = time.monotonic()
    try:
        pulumi = find_pulumi()
        counts = Counts(stacks)
        outcomes, notices = plan_stacks(
            args.project.resolve(),
            stacks,
            pulumi,
            args.folder.resolve(),
            policy_pack=pack if (pack / "PulumiPolicy.yaml").exists() else None,
            progress=counts,
        )
    except (BuildError, WorkspaceError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    counts.close()
    print(render(outcomes, service_rows(outcomes), notices, Paint(sys.stdout)))
    print(f"{time.monotonic() - started:.1f} s with {pulumi}", file=sys.stderr)
    return 0 if all(outcome.passed for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
