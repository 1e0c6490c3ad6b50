"""A simulated pool that people meddle with: tests are added and abandoned, machines dismissed."""

from dataclasses import dataclass

import msgspec

from tests.orchestrator.simulation import Simulation

AT_MOST = 5  # times


@dataclass
class Meddled(Simulation):
    """A simulation in which, so often (of 1), somebody wants something in between."""

    meddling: float = 0.0
    meddled: int = 0

    def step(self) -> None:
        """Let somebody want something, or a machine do something."""
        if self.meddled == AT_MOST or self.chance.random() >= self.meddling:
            super().step()
            return
        self.meddled += 1
        self.chance.choice([self.add, self.dismiss, self.abandon])()

    def add(self) -> None:
        """Add a test, to a platform or to none."""
        some = [test for tests in self.tests.values() for test in tests]
        if not some:
            return
        platform = self.chance.choice(sorted(self.tests))
        test = msgspec.structs.replace(self.chance.choice(some), serial=1001 + 5 * self.meddled)
        self.tests[platform].append(test)
        self.durations[platform, test.serial] = test.duration
        self.carry_out(self.scheduler.add(platform, test, self.now))

    def dismiss(self) -> None:
        """Let a machine be used no more."""
        numbers = [n for n, m in self.machines.items() if m.state not in ("leaving", "kept")]
        if numbers:
            number = self.chance.choice(numbers)
            self.machines[number].takes = False
            self.carry_out(self.scheduler.dismiss(number, self.now))

    def abandon(self) -> None:
        """Want no further attempt at a test."""
        if self.durations:
            key = self.chance.choice(list(self.durations))
            self.abandoned.add(key)
            self.carry_out(self.scheduler.abandon(*key, "enough", self.now))
