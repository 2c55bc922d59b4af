"""The command line: ``python -m leaklib.challenge issue``, ``solve`` and ``grade``.

Exit status 0 where all went well, 1 where the work itself failed, 2 where something given cannot be used.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. What goes wrong is said in a sentence, on the error stream."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except (ValueError, OSError) as error:
        print(f"{Path(sys.argv[0]).parent.name or 'challenge'}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ninterrupted: the same command goes on from here", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m leaklib.challenge",
        description="Steal your picture back: a challenge in eight levels, different for each student.",
    )
    commands = parser.add_subparsers(required=True, metavar="issue | solve | grade")
    issue = commands.add_parser("issue", help="write each student's file, and prove that it can be solved")
    issue.add_argument("roster", type=Path, help="a CSV with a column id, or Canvas's export of a gradebook")
    issue.add_argument("--key", type=Path, required=True, help="the secret's file; made if there is none")
    issue.add_argument("--out", type=Path, required=True, help="the folder to write to")
    issue.add_argument(
        "--prove",
        type=_sample,
        default=2,
        metavar="N | all",
        help="on how many files to try the attacks that search (2); the others are tried on fifty",
    )
    issue.set_defaults(run=_issue)
    solve = commands.add_parser("solve", help="run the reference attacks on what students received")
    solve.add_argument("folder", type=Path, help="the --out of issue, or a folder with students' files")
    solve.add_argument("--out", type=Path, required=True, help="the folder for the submissions")
    solve.set_defaults(run=_solve)
    grade = commands.add_parser("grade", help="mark what students handed in")
    grade.add_argument("submissions", type=Path, help="the folder with everything handed in")
    grade.add_argument("--key", type=Path, required=True, help="the key's file that the challenge has")
    grade.add_argument("--roster", type=Path, required=True, help="the roster that the challenge has")
    grade.add_argument("--out", type=Path, required=True, help="the folder for marks and feedback")
    grade.add_argument("--reveal", action="store_true", help="show the true pictures in the feedback")
    grade.set_defaults(run=_grade)
    return parser


def _sample(text: str) -> int | None:
    if text == "all":
        return None
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected how many students, 0 or more, or all, got {text!r}")
    return int(text)


# What a command needs is imported when it runs: --help and a mistyped option answer at once.


def _issue(options: argparse.Namespace) -> int:
    from leaklib.challenge.issuing import issue

    issue(options.roster, options.key, options.out, sample=options.prove)
    return 0


def _solve(options: argparse.Namespace) -> int:
    from leaklib.challenge.solving import solve, summary

    if found := solve(options.folder, options.out):
        print(summary(found))
    return 0


def _grade(options: argparse.Namespace) -> int:
    from leaklib.challenge.grading import grade

    return grade(options.submissions, options.key, options.roster, options.out, reveal=options.reveal)


if __name__ == "__main__":
    sys.exit(main())
