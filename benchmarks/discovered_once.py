"""Discovers once, in a process of its own, and prints the seconds that took: KIND TREE PLAN DIMENSION=VALUE...

`atex` discovers a plan. `fmf` asks the bare library for what any discovery needs: to read the tree, copy it, adjust
it to the context, and prune it to the tests.
"""

import sys
import time

import fmf
from atex_fmf import discover, parse_context


def main(kind: str, tree: str, plan: str, *words: str) -> None:
    context = parse_context(words)
    started = time.perf_counter()
    if kind == "atex":
        discover(tree, plan=plan, context=context)
    else:
        copy = fmf.Tree(tree).copy()
        copy.adjust(fmf.Context(**context), case_sensitive=False)
        list(copy.prune(keys=["test"]))
    print(time.perf_counter() - started)


if __name__ == "__main__":
    main(*sys.argv[1:])
