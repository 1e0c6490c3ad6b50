"""The options that say which test is started when, how often, and what becomes of a machine afterwards."""

from typing import TypedDict

import click
from atex_orchestrator.order import Order
from atex_orchestrator.scheduling import Destructive

from atex_cli.commands.options import Command, with_options
from atex_cli.errors import Refused


class Scheduling(TypedDict):
    """What these options arrive as: arguments of the Orchestrator."""

    order: Order
    seed: int | None
    reruns: int
    infra_retries: int
    fail_fast: int
    destructive: Destructive
    spares: int


def scheduling_options(command: Command) -> Command:
    """Add the options; they arrive under the names in Scheduling."""
    count = click.IntRange(min=0)
    return with_options(
        command,
        click.option(
            "--order",
            type=click.Choice(["longest", "plan", "random"]),
            default="longest",
            show_default=True,
            help="What starts first: what took longest in earlier runs, what the plan has first, or anything.",
        ),
        click.option(
            "--seed",
            metavar="N",
            type=count,
            help="Repeats the order of an earlier run with --order random, which names its seed.",
        ),
        click.option(
            "--reruns",
            metavar="N",
            type=count,
            default=0,
            show_default=True,
            help="How often a failed test is run again, on another machine where there is one.",
        ),
        click.option(
            "--infra-retries",
            metavar="N",
            type=count,
            default=2,
            show_default=True,
            help="How often a test is run again that has no verdict: its machine was lost, say.",
        ),
        click.option(
            "--fail-fast",
            metavar="N",
            type=count,
            default=0,
            help="Start nothing more when so many tests have failed; the rest is skipped.",
        ),
        click.option(
            "--destructive",
            type=click.Choice(["tag", "exit", "never"]),
            default="tag",
            show_default=True,
            help="After which tests a machine is replaced: tagged `destructive`, those that fail, too, or none.",
        ),
        click.option(
            "--spares",
            metavar="N",
            type=count,
            default=0,
            show_default=True,
            help="So many more machines of each platform are made ready, to step in for those that are lost.",
        ),
    )


def check_scheduling(scheduling: Scheduling) -> None:
    """Raise Refused for an option that another one leaves without effect."""
    if scheduling["seed"] is not None and scheduling["order"] != "random":
        raise Refused("--seed is for --order random: an order of its own needs none")
