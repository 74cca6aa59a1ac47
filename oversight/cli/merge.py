"""`oversight merge`: files of separate runs made one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def merge(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A new file; nothing is overwritten.")],
    files: Annotated[
        list[Path], typer.Argument(metavar="A B…", help="Two databases or more. They are only read.")
    ],
) -> int:
    """Make one database of several.

    Equal calls, questions and episodes fall together; of an episode that several have, the one that got furthest is
    kept. Refuses files whose labels disagree.
    """
    from oversight.report.safe import one_line
    from oversight.store import merge as store

    made = store.merge(files, out)
    print(
        f"{made.episodes:,} episodes ({made.shared_episodes:,} were there already in an earlier file) and "
        f"{made.calls:,} calls ({made.shared_calls:,}) of {len(files)} files are in {one_line(str(out))}"
    )
    if made.paid_again:
        print(
            f"{made.paid_again:,} calls were paid in more than one of them and count once; {made.otherwise:,} of these "
            "were answered otherwise, and the reply of the file named first is kept"
        )
    return 0
