"""Reads a tree with the fmf library, and knows its exceptions.

The library raises exceptions of its own, and also whatever Python raises inside it when metadata
has an unexpected shape; many of them do not say where. So every `Exception` that leaves it is
translated here, once, and the frames it came through tell which file or node it was about.
"""

import os
import pickle
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import fmf
from ruamel.yaml.error import YAMLError

from .context import Context
from .debug_log import put_off_formatting
from .dimensions import Undecided
from .errors import MetadataError, TreeError
from .files import yaml_error
from .node import Node
from .places import Path, Places

Rules = Sequence[Mapping[str, Any]]
"""Adjust rules."""
Tolerate = Callable[[MetadataError], object]


class Tree:
    """The nodes of an fmf tree after inheritance and `adjust`, in the order of their names."""

    def __init__(
        self,
        root: str,
        nodes: tuple[Node, ...],
        context: Context,
        undecided: Undecided,
        grown: bytes,
    ) -> None:
        self.root = root
        """Absolute path of the folder that holds `.fmf`."""
        self.context = context
        self.nodes = nodes
        """The leaves, more or less what the `select` directive says."""
        self.undecided = undecided
        self._grown = grown  # the library's tree before it was adjusted, pickled

    def adjusted(self, context: Context, rules: Rules) -> "Tree":
        """The same tree, adjusted to another context and by further rules; nothing is read again.

        Raises MetadataError.
        """
        return _adjusted(pickle.loads(self._grown), self._grown, context, rules, None)


def read_tree(
    folder: str | os.PathLike[str],
    context: Context,
    rules: Rules = (),
    *,
    tolerate: Tolerate | None = None,
) -> Tree:
    """The tree that `folder` is in, adjusted to the context, and then by `rules` that are like those of
    `adjust`, but of somebody else: an error about one of them names no node.

    As in tmt, values match whatever their case, and a rule that asks for a dimension which the
    context does not have is skipped.

    `tolerate` is told of rules that cannot be applied; they, and those after them, are left out.

    Raises TreeError, and MetadataError for values that cannot be merged or adjusted.
    """
    tree = _grown(os.path.abspath(folder))
    _check_readable(tree.root)
    # Pickling takes a tenth of the time that reading takes, and a fifth of what the library's own copy() does.
    return _adjusted(tree, pickle.dumps(tree), context, rules, tolerate)


def _adjusted(
    tree: Any, grown: bytes, context: Context, rules: Rules, tolerate: Tolerate | None
) -> Tree:
    """Adjusts a tree of the library that is as `grown` has it."""
    adjusted_to = fmf.Context(**context)
    undecided = Undecided(adjusted_to)
    if tolerate is None:
        _adjust(tree, adjusted_to, rules, undecided)
    else:
        _adjust_each(tree, adjusted_to, rules, undecided, tolerate)
    places = Places(tree.root)
    nodes = tuple(_node(leaf, places) for leaf in tree.climb() if leaf.data)
    return Tree(tree.root, nodes, context, undecided, grown)


def _grown(start: str) -> Any:
    """The tree with inheritance applied."""
    if not os.path.isdir(start):
        raise TreeError(f"{start}: no such folder")
    put_off_formatting()
    try:
        return fmf.Tree(start)
    except fmf.utils.RootError as error:
        raise TreeError(
            f"no fmf tree in {start} or above it; `fmf init` in its top folder starts one"
        ) from error
    except Exception as error:
        if _locals(error, function="inherit", variable="self"):
            raise _at_node(error, "inherit") from error
        raise _at_file(error, start) from error


def _adjust(node: Any, context: Any, rules: Rules, undecided: Undecided) -> None:
    """Adjusts a node and those below it."""
    try:
        node.adjust(
            context,
            case_sensitive=False,
            decision_callback=undecided,
            additional_rules=list(rules),
        )
    except Exception as error:
        if _innermost(error, function="apply_rules", variable="rule") in rules:
            raise MetadataError(str(error)) from error
        raise _at_node(error, "adjust") from error


def _adjust_each(
    tree: Any,
    context: Any,
    rules: Rules,
    undecided: Undecided,
    tolerate: Tolerate,
) -> None:
    """Adjusts each node by itself, so that an error in one is none of the others'."""
    for node in tree.climb(whole=True):
        children, node.children = node.children, {}
        try:
            _adjust(node, context, rules, undecided)
        except MetadataError as error:
            tolerate(error)
        finally:
            node.children = children


def _check_readable(root: str) -> None:
    """The library passes over folders that it may not read, and their tests with them."""

    def unreadable(error: OSError) -> None:
        raise TreeError(f"{error.filename}: {error.strerror}; its tests would be missed") from error

    for _, folders, _ in os.walk(root, onerror=unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]


def _node(leaf: Any, places: Places) -> Node:
    """A leaf of the tree as our own; the library's objects stay behind."""
    # A node that inherits nothing and has no file of its own is defined in its parent's; tmt, which knows of no
    # file then, runs it in the top folder.
    origin = leaf
    while not origin.sources:
        origin = origin.parent
    file = str(origin.sources[-1])
    folder = "/"
    if leaf.sources:
        folder = os.path.normpath("/" + os.path.relpath(os.path.dirname(file), leaf.root))
    return Node(leaf.data, name=leaf.name, file=file, folder=folder, places=places)


def _at_file(error: Exception, start: str) -> TreeError:
    file = _innermost(error, function="grow", variable="fullpath")
    if file is None:
        return TreeError(
            f"no usable fmf tree at {start}: {error}; `fmf init` starts one, which is a folder "
            ".fmf with the file version in it"
        )
    if isinstance(error, AttributeError | TypeError):
        problem = f"fmf metadata is a mapping, and its keys are strings ({error})"
        return TreeError(problem, file=file)
    yaml = error.__context__  # the library does not say `from`
    return yaml_error(yaml if isinstance(yaml, YAMLError) else error, file)


def _at_node(error: Exception, function: str) -> MetadataError:
    node = _innermost(error, function=function, variable="self")
    if node is None:
        return MetadataError(f"{function}: {error}")
    rule = _rule(error, node) if function == "adjust" else ()
    path = (*rule, *_locals(error, function="_merge_special", variable="key"))
    return _node(node, Places(node.root)).error(f"{function}: {error}", key=path)


def _rule(error: Exception, node: Any) -> Path:
    """What in the data of the node was being applied: the rules, one of them, or its condition."""
    rules = node.data.get("adjust")
    rule = _innermost(error, function="apply_rules", variable="rule")
    position = (rules.index(rule),) if isinstance(rules, list) and rule in rules else ()
    when = ("when",) if isinstance(error, fmf.context.InvalidRule) else ()
    return ("adjust", *position, *when)


def _innermost(error: Exception, *, function: str, variable: str) -> Any:
    """A local variable of the innermost call of a function that the exception came through."""
    return next(reversed(_locals(error, function=function, variable=variable)), None)


def _locals(error: Exception, *, function: str, variable: str) -> list[Any]:
    """A local variable of all calls of a function that the exception came through, from outside."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    calls = [frame for frame in frames if frame.f_code.co_name == function]
    return [call.f_locals[variable] for call in calls if variable in call.f_locals]
