"""How a test comes by its keys: all that the fmf library does, as tmt has it."""

from collections.abc import Mapping

import pytest

from tests.fmf.beside_tmt.conftest import Agree

TREES = {
    "inheritance": {
        "main.fmf": "test: ./main.sh\nduration: 10m\ntag: [all]\n",
        "a/main.fmf": "duration: 1h\n/one: {}\n/two: {test: ./two.sh, tag: mine}\n",
        "a/b/main.fmf": "environment: {DEEP: 'yes'}\n",
        "a/b/three.fmf": "require: [bash]\n",
    },
    "merge-plus": {
        "main.fmf": "test: run\ntag: [base]\nenvironment: {A: '1'}\nduration: 5m\nrequire: [bash]\norder: 10\n",
        "lists.fmf": "/a: {tag+: [more], require+: [sed, grep]}\n/b: {test+: ' --fast'}\n",
        "others.fmf": "/a: {environment+: {B: '2', A: '3'}}\n/b: {duration+: ' 30s'}\n/c: {order+: 5}\n",
        "nothing.fmf": "/a: {recommend+: [vim], environment+: {X: '1'}}\n",
    },
    "merge-minus": {
        "main.fmf": "test: run --fast\ntag: [base, more]\nenvironment: {A: '1', B: '2'}\n"
        "require: [bash, sed]\norder: 10\n",
        "minus.fmf": "/a: {tag-: [base], require-: [sed]}\n/b: {environment-: [A]}\n"
        "/c: {order-: 15}\n/d: {test-: ' --fast'}\n",
    },
    "merge-regexp": {
        "main.fmf": "test: run slow slow\ntag: [base-1, base-2]\nrequire: [python3.11, sed]\n",
        "tilde.fmf": "/a: {test~: /slow/fast/}\n/b: {tag~: '/base-(.)/new-\\1/'}\n"
        "/c: {require~: ['/3.11/3.12/', ';^s;z;']}\n",
    },
    "merge-minus-regexp": {
        "main.fmf": "test: run\ntag: [one, two, three]\nenvironment: {A: '1', AB: '2', C: '3'}\n",
        "minus.fmf": "/a: {tag-~: [^t]}\n/b: {environment-~: [^A]}\n/c: {tag-~: [o]}\n",
    },
    "merge-plus-front": {
        "main.fmf": "test: run\ntag: [base]\nrequire: [bash]\nduration: 5m\n",
        "front.fmf": "/a: {tag+<: [first], require+<: [sed]}\n/b: {test+<: 'sudo ', duration+<: '1h '}\n",
    },
    "merge-chained": {
        "main.fmf": "test: run\ntag+: [one]\n",
        "a/main.fmf": "tag+: [two]\n",
        "a/b.fmf": "tag+: [three]\n/deep: {tag-: [one], tag+: [four]}\n",
    },
    "virtual-tests": {
        "smoke.fmf": "test: run\n/fast: {environment: {SPEED: fast}}\n/slow: {duration: 2h}\n/a/b/c: {tag: deep}\n",
    },
    "virtual-tests-within-virtual-tests": {
        "smoke.fmf": "test: run\n/a:\n  tag: [a]\n  /x: {order: 2}\n  /y:\n    /z: {tag+: [z]}\n",
    },
    "several-files-for-one-test": {
        "smoke.fmf": "test: run\n/a: {tag: one}\n",
        "smoke/main.fmf": "duration: 7m\n",
        "smoke/a.fmf": "order: 3\n",
        "smoke/b.fmf": "tag: b\n",
    },
    "file-naming": {
        "one.fmf": "test: one\n",
        "two.test.fmf": "test: two\n",
        "three/main.fmf": "test: three\n",
        "four/with space.fmf": "test: four\n",
        "five.FMF": "test: never\n",
        "six.yaml": "test: never\n",
        "seven.fmf.bak": "test: never\n",
        "Eight/main.fmf": "test: eight\n",
    },
    "hidden-folders-and-files": {
        ".hidden/a.fmf": "test: never\n",
        ".hidden.fmf": "test: hidden\n",
        "a/.hidden/b.fmf": "test: never\n",
        "a/b.fmf": "test: run\n",
    },
    "hidden-folders-explored": {
        ".fmf/config": "explore:\n  include: [.plans]\n",
        ".plans/b.fmf": "test: run\n",
        ".other/b.fmf": "test: never\n",
    },
    "another-tree-inside": {
        "a.fmf": "test: run\n",
        "inner/.fmf/version": "1\n",
        "inner/b.fmf": "test: inner\n",
    },
    "directive-inherit": {
        "main.fmf": "test: run\ntag: [base]\nduration: 1h\n",
        "apart.fmf": "/alone:\n  /: {inherit: false}\n  test: alone\n/with: {}\n",
        "apart/main.fmf": "/deep:\n  /: {inherit: false}\n  test: deep\n  /deeper: {tag: x}\n",
    },
    "directive-select": {
        "main.fmf": "test: run\n",
        "branch.fmf": "/: {select: true}\n/leaf: {}\n/hidden: {'/': {select: false}}\n",
    },
    "null-removes-what-was-inherited": {
        "main.fmf": "test: run\nduration: 1h\ntag: [a]\nrequire: [bash]\nenvironment: {A: '1'}\n",
        "a.fmf": "/b: {tag: null, require: null, environment: null}\n",
    },
    "order-of-names": {
        "b.fmf": "test: run\n/y: {}\n/x/deep: {}\n",
        "a/main.fmf": "test: run\n",
        "a/z.fmf": "{}",
        "a/C.fmf": "{}",
        "a-b.fmf": "test: run\n",
        "a0.fmf": "test: run\n",
    },
    "symlinked-file": {"real.fmf": "test: run\n", "link.fmf": "-> real.fmf"},
    "symlinked-folder": {"real/a.fmf": "test: run\n", "link": "-> real"},
    "empty-nodes": {"main.fmf": "test: run\n", "a.fmf": "", "b.fmf": "{}\n", "c/main.fmf": ""},
    "extra-keys": {
        "a.fmf": "test: run\nextra-nitrate: TC#1\nextra-priority: 3\nsummary: All of it\n"
    },
    "folded-and-literal-text": {
        "a.fmf": "test: |\n    echo one\n    echo two\nduration: >\n    1h\n    30m\n",
    },
    "anchors-and-merge-keys": {
        "a.fmf": "/base: &base\n    test: run\n    tag: [x]\n/more:\n    <<: *base\n    order: 3\n",
    },
}


@pytest.mark.parametrize("files", TREES.values(), ids=TREES)
def test_inheritance(agree: Agree, files: Mapping[str, str]) -> None:
    assert agree(files)["tests"]
