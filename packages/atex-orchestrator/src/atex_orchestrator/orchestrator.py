"""Runs tests on a pool of machines: what to run, where, and the switch that starts it."""

import platform as python_platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue
from types import MappingProxyType
from typing import Any

import atex_executor
import atex_fmf
import atex_provision
import atex_sut_agent
from atex_executor import Pack, SinkError, Times, UnsupportedPhase, check_plan
from atex_fmf import Suite, Test
from atex_provision import Provisioner, ProvisionError

import atex_orchestrator
from atex_orchestrator.anywhere import numbered
from atex_orchestrator.asked import Asked, MachinePool
from atex_orchestrator.durations import Durations
from atex_orchestrator.errors import FolderInUse, SetupError
from atex_orchestrator.events import Event, Listener, now
from atex_orchestrator.listeners import Listeners
from atex_orchestrator.order import Order, new_seed, ranking
from atex_orchestrator.policy import Policy
from atex_orchestrator.requests import Abort, AbortMachine, AbortTest, Request, StillHeld
from atex_orchestrator.results import ANY, PlatformInfo, PoolInfo, RunFolder, RunInfo
from atex_orchestrator.resumption import Resumption, check_same
from atex_orchestrator.run import PoolRun
from atex_orchestrator.scheduling import Destructive, Rules
from atex_orchestrator.settings import Settings
from atex_orchestrator.summary import Summary

PACKAGES = (atex_sut_agent, atex_fmf, atex_provision, atex_executor, atex_orchestrator)

_NOTHING: Mapping[str, str] = MappingProxyType({})
_NO_CONTEXT: Mapping[str, str | Sequence[str]] = MappingProxyType({})


class Orchestrator(Policy):
    """Keeps the machines of several pools busy until no test is left, once.

    Add platforms with their tests and provisioners for them, then call run(). What it decides meanwhile may be
    overridden, see `Policy`. Other threads than the one that built it may call abort(), abort_machine(), abort_test(),
    subscribe() and events() only.
    """

    def __init__(
        self,
        folder: Path,
        *,
        environment: Mapping[str, str] = _NOTHING,
        secrets: Mapping[str, str] = _NOTHING,
        grace: float = 300.0,
        times: Times = Times(),
        take_over: bool = False,
        become: bool = False,
        hold_failed: bool = False,
        exclude: Sequence[str] = (),
        reruns: int = 0,
        infra_retries: int = 2,
        destructive: Destructive = "tag",
        fail_fast: int = 0,
        spares: int = 0,
        order: Order = "longest",
        seed: int | None = None,
        resume: bool = False,
        request: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """Prepare a run with results in `folder`, which does not exist yet or is empty.

        `request` is noted in run.json for whoever resumes the run.
        `resume`: go on with the run in `folder`, whose process was killed, or that was stopped, with the same settings,
        platforms, tests and pools as then (docs/resume.md).

        `environment` and `secrets` are variables for all tests and phases, above those of the metadata; secrets are
        handed to the machines and written nowhere. `grace`: seconds that a test which reached its limit has
        between SIGINT and SIGKILL. `times`: how long to wait for what, a machine that can not be reached any more for
        instance. `take_over`: a machine that somebody else uses is not waited for, his session is ended as on timeout.
        `become`: everything on the machines runs as root, by `sudo -n`. `hold_failed`: of each platform, one machine on
        which a test failed or had an error takes no other, is left as it is and stays reserved until its lease ends;
        the last one only when no test waits. `exclude`: patterns for what of the trees is
        not brought to the machines, see atex_executor.Pack.

        `reruns`: so many further attempts at a test that failed, warned or had an error, on another machine where there
        is one. `infra_retries`: so many at one that has no verdict because a machine was lost, say; apart from those.
        `destructive`: which tests spoil their machine, so that another one takes its place: those with the tag
        `destructive`, also those that failed or had an error ("exit"), or none. `fail_fast`: after so many tests that
        failed in their last attempt nothing more is started, and the rest is skipped; 0: never. `spares`: so many
        machines of each platform, beyond the sizes of its pools, are made ready to take the place of others.
        `order`: "longest" starts tests of a higher `extra-priority` first, then those that took longest in earlier
        runs; "plan" as the plan has them; "random" by `seed`, or by one that is made here and noted in run.json.
        """
        super().__init__(
            Rules(
                reruns=reruns,
                infra_retries=infra_retries,
                fail_fast=fail_fast,
                spares=spares,
                destructive=destructive,
                hold_failed=hold_failed,
            )
        )
        self._folder = folder
        self._resume = resume
        self._request = dict(request)
        self._settings = Settings(
            environment=dict(environment),
            secrets=dict(secrets),
            grace=grace,
            times=times,
            take_over=take_over,
            become=become,
        )
        self._order = order
        self._seed = new_seed() if seed is None else seed
        self._exclude = tuple(exclude)
        self._listeners = Listeners()
        self._platforms: dict[str, PlatformInfo] = {}
        self._suites: dict[str, Suite] = {}
        self._anywhere: list[Suite] = []
        self._packs: dict[str, Pack] = {}
        self._pools: list[MachinePool] = []
        self._inbox: SimpleQueue[Event | Request | StillHeld] = SimpleQueue()

    def add_platform(
        self,
        platform: str,
        suite: Suite,
        *,
        context: Mapping[str, str | Sequence[str]] = _NO_CONTEXT,
    ) -> None:
        """Run the tests of `suite` on the machines of `platform`; `context`, what they were discovered with, is noted.

        Raises SetupError if the platform is there already or called "any", for a plan that is not supported, or for a
        pattern that can mean nothing.
        """
        try:
            check_plan(suite.plan)
            pack = self._pack_of(suite)
        except (UnsupportedPhase, ValueError) as error:
            raise SetupError(str(error)) from error
        if platform == ANY:
            raise SetupError(f"no platform can be called {ANY}: that means all of them")
        if platform in self._suites:
            raise SetupError(f"platform {platform} was added twice")
        self._suites[platform] = suite
        self._packs[platform] = pack
        self._platforms[platform] = PlatformInfo(
            name=platform,
            context=dict(context),
            tree=suite.root,
            plan=suite.plan.name,
            tests={test.serial: test.name for test in suite.tests},
        )

    def add_tests(self, suite: Suite) -> None:
        """Run each test of `suite` once, on a machine of any platform, under that platform's plan.

        They get serials above those of all platforms; their records have the platform where they ran, or "any" where
        they were never started. What they rely on is to be the same everywhere: run() raises SetupError where the
        trees, the phases of the plan or its variables are not those of each platform, too (which may have more).
        """
        self._anywhere.append(suite)

    def add_provisioner(
        self,
        factory: Callable[[], Provisioner],
        *,
        max_workers: int = 1,
        platform: str,
        name: str = "",
    ) -> None:
        """Take machines for `platform` from `factory`, `max_workers` at a time at most.

        `factory` is called once for each machine, in a thread of its own. `name` is what the pool is called in the
        run folder and in messages; without it, as its platform.

        Raises SetupError if the platform was not added before, or `max_workers` is not positive.
        """
        if platform not in self._suites:
            raise SetupError(
                f"platform {platform} is not known: add it, with its tests, before its machines"
            )
        if max_workers < 1:
            raise SetupError(f"a pool of {max_workers} machines runs nothing")
        self._pools.append(
            MachinePool(platform=platform, name=name or platform, factory=factory, size=max_workers)
        )

    def subscribe(self, listener: Listener) -> None:
        """Call `listener` with each event from now on, in run()'s thread; several in the order in which they came.

        The run waits for it. What it raises stops the run as a bug: run() raises it when all is settled.
        """
        self._listeners.subscribe(listener)

    def events(self) -> Iterator[Event]:
        """Return an iterator over the events from now on, for one thread, which is not that of run().

        It waits for the next one, and ends when run() does, however that ends. It keeps what was not yet asked for,
        and never holds the run up.
        """
        return self._listeners.events()

    def run(self) -> Summary:
        """Run every test, and return what became of them when all have their final record.

        May be called once. Raises SetupError if tests have no machines, or the run can not be resumed, FolderInUse and
        FolderUnreadable, all before anything is reserved. A KeyboardInterrupt, what a listener raises and any bug stop
        the run as abort() does, and are raised when all is settled.
        """
        try:
            return self._run()
        finally:
            self._listeners.close()

    def abort(self, reason: str, *, at_once: bool = False) -> None:
        """Stop the run: start no test, cancel those that run, finish, give machines back, write every record.

        Returns at once. `at_once`: nobody waits for tests that clean up, nor for finish phases. From any thread and
        any signal handler, any number of times; before run(), it stops as soon as it starts.
        """
        self._inbox.put(Abort(reason, at_once))

    def abort_machine(self, name: str, reason: str) -> None:
        """Use a machine no more: its test is cancelled and run elsewhere, and another machine takes its place.

        It runs its finish phases and is given back. `name`: as events and records have it; nothing happens where there
        is no such machine in use. Returns at once, from any thread.
        """
        self._inbox.put(AbortMachine(name, reason))

    def abort_test(self, platform: str, serial: int, reason: str) -> None:
        """Run a test no more: the attempt that goes on is cancelled, and gets an `infra` record with this reason.

        One that waits for its first attempt gets that, too. Its machine goes on. One of add_tests() is
        found by any platform. Returns at once, from any thread.
        """
        self._inbox.put(AbortTest(platform, serial, reason))

    def _run(self) -> Summary:
        staffed = {pool.platform for pool in self._pools}
        for platform in self._suites:
            if platform not in staffed:
                raise SetupError(
                    f"platform {platform} has tests and no machines: add a provisioner"
                )
        anywhere = numbered(self._anywhere, self._suites)
        with ExitStack() as stack:
            info, asked = self._info(anywhere), self._asked(anywhere)
            folder = stack.enter_context(RunFolder(self._folder, None if self._resume else info))
            past = self._past(folder, info, asked) if self._resume else None
            for pack in self._packs.values():
                stack.enter_context(pack)
            try:
                run = PoolRun(folder, asked, self._inbox, self._listeners, past=past)
            except SinkError as error:
                raise FolderInUse(str(error)) from error
            return run.execute()

    def _past(self, folder: RunFolder, info: RunInfo, asked: Asked) -> Resumption:
        check_same(folder, info)
        try:
            return Resumption(folder, asked)
        except (OSError, ProvisionError) as error:
            raise SetupError(f"the run in {folder.path} can not be resumed: {error}") from error

    def _asked(self, anywhere: Sequence[Test]) -> Asked:
        durations = Durations()
        return Asked(
            suites=self._suites,
            anywhere=anywhere,
            packs=self._packs,
            pools=self._pools,
            settings=self._settings,
            rules=self.rules,
            rank=ranking(self._order, seed=self._seed, durations=durations),
            durations=durations,
            policy=self,
        )

    def _pack_of(self, suite: Suite) -> Pack:
        """Return what is brought to the machines for `suite`: for the same trees, the same. Raises ValueError."""
        for platform, other in self._suites.items():
            if (other.root, other.trees) == (suite.root, suite.trees):
                return self._packs[platform]
        return Pack(suite, exclude=self._exclude)

    def _info(self, anywhere: Sequence[Test]) -> RunInfo:
        versions = {package.__name__: package.__version__ for package in PACKAGES}
        return RunInfo(
            started=now(),
            versions={"python": python_platform.python_version(), **versions},
            platforms=list(self._platforms.values()),
            anywhere={test.serial: test.name for test in anywhere},
            pools=[
                PoolInfo(platform=pool.platform, name=pool.name, machines=pool.size)
                for pool in self._pools
            ],
            environment=dict(self._settings.environment),
            secrets=sorted(self._settings.secrets),
            exclude=list(self._exclude),
            grace=self._settings.grace,
            reruns=self.rules.reruns,
            infra_retries=self.rules.infra_retries,
            destructive=self.rules.destructive,
            fail_fast=self.rules.fail_fast,
            spares=self.rules.spares,
            order=self._order,
            seed=self._seed if self._order == "random" else None,
            request=self._request,
        )
