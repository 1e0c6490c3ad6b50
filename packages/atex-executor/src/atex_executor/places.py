"""Where the trees of a suite lie on a machine. Pure.

tree             in the session's folder: the suite's own, which is TMT_TREE
trees/NAME       the others (`Suite.trees`); NAME is one folder, escaped as in run folders (layout.py)
"""

from atex_sut_agent.protocol import Hello

from atex_executor.layout import component

_OWN = "tree"
MORE = "trees"


def place_of(tree: str) -> str:
    """Return where a tree (`Test.tree`; "" is the suite's own) lies in the session's folder."""
    return f"{MORE}/{component(tree)}" if tree else _OWN


def tree_folder(hello: Hello) -> str:
    """Return the folder of the suite's own tree."""
    return f"{hello.folder}/{_OWN}"


def place_of_test(own: str, tree: str, path: str) -> str:
    """Return the folder that a test of `tree` with this `path` runs in; `own` is that of the suite's own tree."""
    top = f"{own.removesuffix(_OWN)}{place_of(tree)}"
    return f"{top}{path}".rstrip("/")
