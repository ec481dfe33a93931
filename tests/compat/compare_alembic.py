#!/usr/bin/env python3
"""Ask pawl and Alembic the same questions about the same histories, and compare the answers.

usage: compare_alembic.py ANSWER [--graphs N] [--seed N] [--show N]

ANSWER is the compat_answer program of the build. The histories are some that are written down here and many random
ones. Where pawl differs on purpose (docs/alembic.md) the difference has a name below, and is counted, not reported.

Alembic reads files in the order of the directory and keeps some names in sets; here it is given revisions in order of
id, and dependencies in the order in which they are written, so that it has one answer.

Exit code: 0 no difference, 1 differences, 77 Alembic 1.8 is not installed (any release whose answers are the same will
do, but the answers were taken from 1.8).
"""

import argparse
import builtins
import collections
import io
import logging
import os
import random
import re
import subprocess
import sys
import tempfile
import warnings

try:
    import alembic
    from alembic import command
    from alembic.config import Config
    from alembic.script import Script, ScriptDirectory
    from alembic.script.revision import Revision, RevisionMap
except ImportError:
    print("SKIPPED: Alembic is not installed for", sys.executable)
    sys.exit(77)

if not alembic.__version__.startswith("1.8."):
    print("SKIPPED: the reference is Alembic 1.8, and this is", alembic.__version__)
    sys.exit(77)

warnings.simplefilter("ignore")
logging.disable()

Node = collections.namedtuple("Node", "id parents depends labels")


class Graph:
    """A history and what is applied of it."""

    def __init__(self, nodes, applied=()):
        self.nodes = sorted(nodes, key=lambda n: n.id)
        self.by_id = {n.id: n for n in self.nodes}
        self.applied = self.closure(applied)

    def closure(self, ids, depends=True):
        todo, seen = list(ids), set()
        while todo:
            i = todo.pop()
            if i in seen:
                continue
            seen.add(i)
            todo += self.by_id[i].parents
            if depends:
                todo += [self.resolve(d) for d in self.by_id[i].depends]
        return seen

    def resolve(self, name):
        if name in self.by_id:
            return name
        return next(n.id for n in self.nodes if name in n.labels)

    def tips(self, depends=True):
        below = set()
        for i in self.applied:
            below |= self.closure([i], depends) - {i}
        return sorted(self.applied - below)

    def lineage(self, name):
        node = self.resolve(name)
        return self.closure([node], False) | {n.id for n in self.nodes if node in self.closure([n.id], False)}

    def commands(self):
        def words(items):
            return ",".join(items) or "-"

        yield "graph"
        for n in self.nodes:
            yield f"rev {n.id} {words(n.parents)} {words(n.depends)} {words(n.labels)}"
        yield f"applied {words(sorted(self.applied))}"
        yield "link"


SCRIPT = """revision = %r
down_revision = %r
branch_labels = %r
depends_on = %r

def upgrade():
    import builtins
    builtins.ran.append(revision)

def downgrade():
    import builtins
    builtins.ran.append(revision)
"""

ENV = """from alembic import context
from sqlalchemy import create_engine

engine = create_engine(context.config.get_main_option("sqlalchemy.url"))
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=None)
    with context.begin_transaction():
        context.run_migrations()
"""


class Real:
    """Alembic itself on files and a database, for the few histories that are written down here."""

    def __init__(self, nodes, folder):
        os.mkdir(folder)
        os.mkdir(folder + "/versions")
        with open(folder + "/env.py", "w") as f:
            f.write(ENV)
        for x in nodes:
            with open(f"{folder}/versions/{x.id}.py", "w") as f:
                f.write(SCRIPT % (x.id, tuple(x.parents) or None, tuple(x.labels) or None, tuple(x.depends) or None))
        self.config = Config(stdout=io.StringIO())
        self.config.set_main_option("script_location", folder)
        self.config.set_main_option("sqlalchemy.url", f"sqlite:///{folder}/database")
        builtins.ran = []

    def go(self, word, target):
        verb = {"up": command.upgrade, "down": command.downgrade}[word]
        builtins.ran.clear()
        try:
            verb(self.config, target)
        except Exception as e:
            return "error " + (str(e) or type(e).__name__)
        return "ok" + "".join(" " + i for i in builtins.ran)


def real_walks(rng):
    """From nothing applied, up and down at random: yields (name, history before, question, Alembic's answer)."""
    Script._list_py_dir = classmethod(lambda cls, directory, path: sorted(os.listdir(path)))
    with tempfile.TemporaryDirectory() as folder:
        for name, nodes in FIXED.items():
            real = Real(nodes, f"{folder}/{name.replace(' ', '_')}")
            graph = Graph(nodes)
            for _ in range(12):
                asked = [q for q in questions(graph, rng) if q.split()[0] in ("up", "down")]
                question = rng.choice([q for q in asked if not Reference(graph).ask(q).startswith("error")])
                answer = real.go(*question.split())
                yield "real " + name, graph, question, answer
                if answer.startswith("ok"):
                    ids = set(answer.split()[1:])
                    applied = graph.applied | ids if question.startswith("up") else graph.applied - ids
                    graph = Graph(nodes, applied)


class Reference:
    """Alembic's answers."""

    def __init__(self, graph):
        self.graph = graph
        revisions = [
            Revision(n.id, tuple(n.parents) or None, tuple(n.depends) or None, tuple(n.labels) or None)
            for n in graph.nodes
        ]
        self.map = RevisionMap(lambda: revisions)
        self.map._revision_map
        for r, n in zip(revisions, graph.nodes):
            wanted = [graph.resolve(d) for d in n.depends]
            r._normalized_resolved_dependencies = tuple(
                sorted(r._normalized_resolved_dependencies, key=wanted.index)
            )
        self.directory = ScriptDirectory.__new__(ScriptDirectory)
        self.directory.revision_map = self.map
        self.rows = tuple(graph.tips())

    def ask(self, command):
        word, *rest = command.split()
        try:
            return "ok" + "".join(" " + i for i in getattr(self, word)(*rest))
        except Exception as e:  # an assertion is how some wrong targets end
            return "error " + (str(e) or type(e).__name__)

    def up(self, target):
        revs = self.map.iterate_revisions(target, self.rows, implicit_base=True)
        return reversed([r.revision for r in revs])

    def down(self, target):
        revs = self.map.iterate_revisions(self.rows, target, select_for_downgrade=True)
        return [r.revision for r in revs]

    def range(self, text):
        lower, upper = text.split(":")
        if upper == "current":
            upper = self.rows
        elif lower == "current":
            lower = self.rows
        revs = self.map.iterate_revisions(
            upper or "heads", lower or "base", inclusive=True, assert_relative_length=False
        )
        return [r.revision for r in revs]

    def heads(self):
        return sorted(self.map.heads)

    def bases(self):
        return sorted(self.map.bases)

    def current(self):
        return sorted(r.revision for r in self.map._get_all_current(self.rows))

    def branches(self):
        revs = self.map.iterate_revisions("heads", "base", inclusive=True)
        return [r.revision for r in revs if r.is_branch_point]

    def all(self, target):
        return sorted(r.revision for r in self.map.get_revisions(target))

    def stamp(self, targets, purge=None):
        """The set of revisions that count as applied afterwards, as what goes and what comes."""
        rows = set() if purge else set(self.rows)
        for step in self.directory._stamp_revs(tuple(targets.split(",")), tuple(rows)):
            rows -= set(step.from_)
            rows |= set(step.to_)
        after = self.graph.closure(rows)
        return sorted(self.graph.applied - after) + ["|"] + sorted(after - self.graph.applied)


def is_branch_wrong(graph, target):
    """LABEL@R where R is not on that branch, which Alembic does not always look at."""
    if "@" not in target:
        return False
    branch, name = target.split("@", 1)
    name = re.sub(r"[+-]\d+$", "", name)
    if name in ("", "head", "heads", "base"):
        return False
    try:
        return graph.resolve(name) not in graph.lineage(branch)
    except StopIteration:
        return False


def difference(graph, command, ours, theirs):
    """The name of a difference that is meant, or None."""
    word, *rest = command.split()
    we_stop, they_stop = ours.startswith("error"), theirs.startswith("error")
    target = rest[0] if rest else ""
    if word == "up" and re.search(r"(^|@)base$", target) and we_stop and theirs == "ok":
        return "upgrade to base is an error"
    if word == "down" and re.match(r"^-\d+$", target) and len(graph.tips()) > 1 and we_stop:
        return "-N with several current branches is an error"
    if word in ("up", "down", "range", "stamp") and we_stop and any(
        is_branch_wrong(graph, t) for t in re.split("[:,]", target)
    ):
        return "BRANCH@R with R on another branch is an error"
    if word == "down" and they_stop and ours == "ok" and "Nothing to drop" in theirs:
        return "a downgrade with nothing to revert is no error"
    if word == "down" and re.search(r"@heads?$", target) and they_stop != we_stop:
        return "BRANCH@head is also a target of downgrade"
    if word == "all" and target == "heads" and not we_stop:
        return "show heads shows what heads lists"
    if word == "stamp" and not we_stop and target.endswith("@head"):
        return "a stamp of BRANCH@head forgets no branch that only depends on that one"
    if word == "up" and target.endswith("@heads") and "overlaps" in theirs:
        return "BRANCH@heads may have a head that another depends on"
    if word == "stamp" and not we_stop and ("," in target or "heads" in target):
        return "of a stamp with several targets none forgets another"
    if word == "stamp" and not we_stop and not they_stop and is_kept_beside(ours, theirs):
        return "a stamp keeps what only a forgotten revision depended on"
    if word == "stamp" and we_stop and "ancestor of" in ours:
        return "a stamp of an ancestor and its descendant is an error"
    if word == "stamp" and we_stop and "at \"base\" and at" in ours:
        return "a stamp of base and a revision is an error"
    if word == "range" and "current" in target and not graph.applied:
        return "history of current with nothing applied shows nothing"
    if word == "range" and re.match(r"^-\d+:.", target) and not target.endswith(":heads"):
        return "-N:B counts back from B, not from the heads"
    if word == "range" and "@" in target.split(":")[0]:
        return "BRANCH@A:B keeps B when it leads to the branch, too"
    if word == "range" and sorted(ours.split()) == sorted(theirs.split()):
        return "a range with gaps is in the order of the whole history"
    if word == "range" and they_stop and not we_stop:
        return "history answers ranges that Alembic does not"
    if word == "range" and we_stop and "depends on its start" in ours:
        return "a range whose end does not descend from its start is an error"
    return None


def is_kept_beside(ours, theirs):
    (our_removed, our_added), (their_removed, their_added) = (
        [set(p.split()) for p in answer[3:].split("|")] for answer in (ours, theirs)
    )
    return our_added == their_added and our_removed < their_removed


def same(word, ours, theirs):
    if ours.startswith("error") or theirs.startswith("error"):
        return ours.split()[0] == theirs.split()[0]
    if word == "stamp":
        return [sorted(p.split()) for p in ours[3:].split("|")] == [sorted(p.split()) for p in theirs[3:].split("|")]
    return ours == theirs


def n(id, parents="", depends="", labels=""):
    return Node(id, parents.split(), depends.split(), labels.split())


FIXED = {
    "line": [n("aaa1"), n("aaa2", "aaa1", labels="second"), n("aaa3", "aaa2"), n("aaa4", "aaa3")],
    "diamond": [
        n("root"),
        n("l001", "root", labels="left"),
        n("l002", "l001"),
        n("r001", "root", labels="right"),
        n("r002", "r001"),
        n("join", "l002 r002"),
        n("last", "join"),
    ],
    "two bases": [
        n("aaa1", labels="shop"),
        n("aaa2", "aaa1"),
        n("bbb1", labels="blog"),
        n("bbb2", "bbb1", depends="aaa1"),
        n("bbb3", "bbb2"),
    ],
    "nested merges": [
        n("zero"),
        n("a001", "zero"),
        n("b001", "zero"),
        n("c001", "zero"),
        n("d001", "c001"),
        n("m001", "a001 b001"),
        n("m002", "m001 c001"),
        n("m003", "m002 d001"),
    ],
    "label depends": [n("aaa1", labels="shop"), n("aaa2", "aaa1"), n("bbb1", depends="shop"), n("ccc1", depends="aaa2")],
}


def random_graph(rng):
    count = rng.randint(1, 12)
    ids = set()
    while len(ids) < count:
        ids.add("%s%04x" % (rng.choice("abcdef"), rng.randrange(1 << 16)))
    ids = sorted(ids)
    rng.shuffle(ids)
    nodes, labels = {}, iter(["shop", "blog", "left", "right", "ledger"])
    graph = Graph([])
    merges, forks, deps = rng.random() * 0.4, rng.random() * 0.6, rng.choice([0, 0, 0.2, 0.4])
    for i, id in enumerate(ids):
        before = ids[:i]
        parents, depends = [], []
        if before and rng.random() < 0.85:
            heads = [b for b in before if not any(b in nodes[o].parents for o in before)]
            pool = before if rng.random() < forks else heads
            parents = [rng.choice(pool)]
            while rng.random() < merges and len(parents) < 4:
                parents.append(rng.choice(pool))
            parents = [
                p
                for k, p in enumerate(parents)
                if p not in parents[:k] and not any(p in graph.closure([o], False) - {o} for o in parents)
            ]
        while before and rng.random() < deps and len(depends) < 3:
            d = rng.choice(before)
            if d not in depends and d not in parents:
                depends.append(d)
        own = [next(labels, None)] if rng.random() < 0.2 else []
        nodes[id] = Node(id, parents, depends, [l for l in own if l])
        graph = Graph(nodes.values())
    applied = rng.sample(ids, rng.randint(0, max(0, min(3, count))))
    return Graph(nodes.values(), applied)


def questions(graph, rng):
    ids = [x.id for x in graph.nodes]
    labels = [l for x in graph.nodes for l in x.labels]
    names = ids + labels
    yield from ("heads", "bases", "current", "branches", "up head", "up heads", "down base", "down head")
    targets = list(names) + ["head", "heads", "base", "nope", ids[0][:3]]
    targets += ["%+d" % k for k in (1, 2, 3, 9, -1, -2, -3, -9)]
    targets += ["base+1", "base+3", "head-1", "heads-2"]
    for name in names:
        targets += [name + "%+d" % rng.choice([1, 2, 3, -1, -2, -3]) for _ in range(2)]
        targets += [f"{name}@head", f"{name}@heads", f"{name}@base", f"{name}@{rng.choice(names)}"]
        targets += ["%s@%+d" % (name, k) for k in (1, 2, -1, -2)]
        targets += ["%s@%s%+d" % (name, rng.choice(ids), rng.choice([1, 2, -1, -2]))]
    for t in targets:
        yield f"up {t}"
        yield f"down {t}"
    for _ in range(30):
        ends = ids + labels + ["", "base", "head", "heads", "current", "-2", "-1"] + [f"{l}@head" for l in labels]
        ends += [f"{l}@base" for l in labels]
        a, b = rng.choice(ends), rng.choice([e for e in ends if e[:1] != "-"] + ["+1", "+2", ids[0] + "+1"])
        yield f"range {a}:{b}"
    for name in names + ["heads", "head"]:
        yield f"all {name}"
    stamps = names + ["head", "heads", "base"] + [f"{l}@head" for l in labels] + [f"{l}@base" for l in labels]
    for t in stamps:
        yield f"stamp {t}"
    for _ in range(5):
        yield f"stamp {rng.choice(stamps)},{rng.choice(stamps)}"
        yield f"stamp {rng.choice(stamps)} purge"


def all_graphs(count, seed):
    rng = random.Random(seed)
    for name, nodes in FIXED.items():
        ids = [x.id for x in nodes]
        for k in range(6):
            yield f"{name} {k}", Graph(nodes, rng.sample(ids, min(k // 2, len(ids)))), rng
    for k in range(count):
        yield f"random {seed}/{k}", random_graph(rng), rng


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("answer")
    parser.add_argument("--graphs", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=10, help="differences to print in full")
    args = parser.parse_args()

    asked = []
    script = []
    for name, graph, rng in all_graphs(args.graphs, args.seed):
        script += graph.commands()
        asked.append((name, graph, None, "ok"))
        reference = Reference(graph)
        for question in dict.fromkeys(questions(graph, rng)):
            script.append(question)
            asked.append((name, graph, question, reference.ask(question)))
    for name, graph, question, answer in real_walks(random.Random(args.seed)):
        script += [*graph.commands(), question]
        asked += [(name, graph, None, "ok"), (name, graph, question, answer)]
    run = subprocess.run([args.answer], input="\n".join(script) + "\n", capture_output=True, text=True)
    answers = run.stdout.splitlines()
    if run.returncode != 0 or len(answers) != len(asked):
        print("the answering program failed:", run.stderr or f"{len(answers)} answers to {len(asked)} questions")
        return 1

    meant, wrong = collections.Counter(), 0
    kinds = collections.Counter()
    for (name, graph, question, theirs), ours in zip(asked, answers):
        word = question.split()[0] if question else "link"
        if same(word, ours, theirs):
            kinds[word] += 1
            continue
        reason = question and difference(graph, question, ours, theirs)
        if reason:
            meant[reason] += 1
            continue
        wrong += 1
        if wrong <= args.show:
            print(f"--- {name}: {question}\n  pawl:    {ours}\n  Alembic: {theirs}")
            print("  " + "\n  ".join(graph.commands()))
    print("the same:", ", ".join(f"{k} {c}" for k, c in sorted(kinds.items())))
    for reason, c in sorted(meant.items()):
        print(f"meant: {reason}: {c}")
    print(f"{wrong} differences in {len(asked)} answers")
    return 1 if wrong else 0


sys.exit(main())
