"""A history of many revisions, written twice: as a migrations directory of pawl and as one of Alembic.

The graph is the same in both. Revisions follow each other; every hundredth one forks a side branch of five that the next
merge brings back, so that the history has branches and merges in it and a single head at its end.

    python3 bench/revisions.py --count 10000 --pawl DIR --alembic DIR
"""

import argparse
import hashlib
import pathlib

FORK_EVERY = 100
BRANCH_LENGTH = 5


class Revision:
    """One node: what it follows, and the column that it adds."""

    def __init__(self, number, parents):
        self.number = number
        # Eight hex digits that begin with a letter, as `pawl revision` makes them.
        digits = hashlib.sha256(b"revision %d" % number).hexdigest()
        self.id = "abcdef"[int(digits[0], 16) % 6] + digits[1:8]
        self.parents = parents

    @property
    def table(self):
        return f"t{self.number % 500}"

    @property
    def column(self):
        return f"c{self.number}"

    @property
    def is_merge(self):
        return len(self.parents) > 1


def graph(count):
    """`count` revisions, parents before their children."""
    revisions = []
    main = side = None
    used = set()

    def add(*parents):
        revision = Revision(len(revisions), [p for p in parents if p is not None])
        while revision.id in used:
            revision.id = revision.id[:-1] + "0123456789abcdef"[(int(revision.id[-1], 16) + 1) % 16]
        used.add(revision.id)
        revisions.append(revision)
        return revision

    while len(revisions) < count:
        place = len(revisions) % FORK_EVERY
        left = count - len(revisions)
        if place == FORK_EVERY // 2 and left > 2 * BRANCH_LENGTH + 1:
            fork = main
            for _ in range(BRANCH_LENGTH):
                side = add(side or fork)
            for _ in range(BRANCH_LENGTH):
                main = add(main)
            main, side = add(main, side), None
        else:
            main = add(main)
    return revisions


def pawl_text(revision):
    parents = ", ".join(f'"{p.id}"' for p in revision.parents)
    head = (
        f'revision: "{revision.id}"\n'
        f"parents: [{parents}]\n"
        f"description: Change number {revision.number} of the table {revision.table}\n"
    )
    if revision.is_merge:
        return head
    if revision.number % 2:
        return head + (
            "up:\n"
            "  - add_column:\n"
            f"      table: public.{revision.table}\n"
            f"      column: {revision.column}\n"
            "      type: text\n"
        )
    return head + (
        "up:\n"
        "  - sql: |\n"
        f"      ALTER TABLE public.{revision.table} ADD COLUMN {revision.column} text;\n"
        f"      COMMENT ON COLUMN public.{revision.table}.{revision.column} IS 'number {revision.number}';\n"
        "    down:\n"
        "      - sql: |\n"
        f"          ALTER TABLE public.{revision.table} DROP COLUMN {revision.column};\n"
    )


def write_pawl(revisions, directory):
    directory = pathlib.Path(directory)
    (directory / "migrations").mkdir(parents=True)
    (directory / "pawl.yaml").write_text("database: postgresql:///nowhere\nmigrations: migrations\n")
    for revision in revisions:
        name = f"{revision.id}_change_number_{revision.number}.yaml"
        (directory / "migrations" / name).write_text(pawl_text(revision))


def alembic_text(revision):
    down = [p.id for p in revision.parents]
    down_revision = None if not down else down[0] if len(down) == 1 else tuple(down)
    head = (
        f'"""Change number {revision.number} of the table {revision.table}"""\n'
        "from alembic import op\n"
        "import sqlalchemy as sa\n\n"
        f"revision = {revision.id!r}\n"
        f"down_revision = {down_revision!r}\n"
        "branch_labels = None\n"
        "depends_on = None\n\n\n"
    )
    if revision.is_merge:
        return head + "def upgrade():\n    pass\n\n\ndef downgrade():\n    pass\n"
    if revision.number % 2:
        up = f'op.add_column("{revision.table}", sa.Column("{revision.column}", sa.Text()), schema="public")'
    else:
        up = (
            f'op.execute("ALTER TABLE public.{revision.table} ADD COLUMN {revision.column} text")\n'
            f"    op.execute(\"COMMENT ON COLUMN public.{revision.table}.{revision.column} IS 'number"
            f" {revision.number}'\")"
        )
    down = f'op.drop_column("{revision.table}", "{revision.column}", schema="public")'
    return head + f"def upgrade():\n    {up}\n\n\ndef downgrade():\n    {down}\n"


# As `alembic init` writes it, without the comments and the logging.
ALEMBIC_INI = "[alembic]\nscript_location = alembic\nsqlalchemy.url = postgresql:///nowhere\n"
ALEMBIC_ENV = """from alembic import context

context.configure(url=context.config.get_main_option("sqlalchemy.url"), literal_binds=True)
with context.begin_transaction():
    context.run_migrations()
"""


def write_alembic(revisions, directory):
    directory = pathlib.Path(directory)
    versions = directory / "alembic" / "versions"
    versions.mkdir(parents=True)
    (directory / "alembic.ini").write_text(ALEMBIC_INI)
    (directory / "alembic" / "env.py").write_text(ALEMBIC_ENV)
    for revision in revisions:
        (versions / f"{revision.id}_change_number_{revision.number}.py").write_text(alembic_text(revision))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--count", type=int, default=10000)
    parser.add_argument("--pawl", metavar="DIR", help="write pawl.yaml and migrations/ there")
    parser.add_argument("--alembic", metavar="DIR", help="write alembic.ini and alembic/ there")
    arguments = parser.parse_args()
    revisions = graph(arguments.count)
    if arguments.pawl:
        write_pawl(revisions, arguments.pawl)
    if arguments.alembic:
        write_alembic(revisions, arguments.alembic)


if __name__ == "__main__":
    main()
