"""`coronium replay`: send dead letters, or a part of a topic, through the stream again."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from coronium.cli.options import Json, KafkaAddress
from coronium.contract.topics import FEATURES, OBSERVATIONS, SPECTRA, StageName

if TYPE_CHECKING:
    from kafka import KafkaConsumer

    from coronium.operations.replay import Summary
    from coronium.operations.replay_sources import Source
    from coronium.runtime.settings import KafkaSettings

CONFIRM_ABOVE = 1000
"""More records than this are sent only when a person says so."""


class Part(StrEnum):
    """Topics that can be replayed: what the stages work on."""

    SPECTRA = "spectra"
    OBSERVATIONS = "observations"
    FEATURES = "features"


_TOPICS = {Part.SPECTRA: SPECTRA, Part.OBSERVATIONS: OBSERVATIONS, Part.FEATURES: FEATURES}


def replay(
    dead_letters: Annotated[bool, typer.Option("--dead-letters", help="Send what was set aside.")] = False,
    stage: Annotated[list[StageName] | None, typer.Option(help="Dead letters of this stage; may be repeated.")] = None,
    reason: Annotated[
        list[str] | None, typer.Option(help="Dead letters of this reason, for example crash; may be repeated.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Also dead letters that were replayed before.")] = False,
    topic: Annotated[Part | None, typer.Option(help="Send a part of this topic, to work on it anew.")] = None,
    since: Annotated[
        datetime | None, typer.Option(metavar="TIME", help="Set aside, or published there, at or after this (UTC).")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(metavar="TIME", help="Set aside, or published there, before this (UTC).")
    ] = None,
    partition: Annotated[int | None, typer.Option(min=0, help="With --topic: of this partition.")] = None,
    from_offset: Annotated[int | None, typer.Option(min=0, help="With --partition: from this offset on.")] = None,
    to_offset: Annotated[int | None, typer.Option(min=0, help="With --partition: before this offset.")] = None,
    rate: Annotated[float | None, typer.Option(min=0.001, help="Most records a second; default: no limit.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be sent; send nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help=f"Send more than {CONFIRM_ABOVE} without asking.")] = False,
    kafka: KafkaAddress = None,
    as_json: Json = False,
) -> None:
    """Send dead letters, or a part of a topic, through the stream again.

    A dead letter is sent once, unless its copy was set aside again. New model versions give new results, which
    supersede the old ones; the same versions give the same results, however often something is sent.
    """
    from kafka.errors import KafkaError

    from coronium.cli import settings
    from coronium.operations.replay import new_replay_id, send, survey
    from coronium.operations.topic_ranges import open_consumer
    from coronium.runtime.admin import explained

    _check_form(
        dead_letters,
        topic,
        {"--stage": stage, "--reason": reason, "--again": again},
        {"--partition": partition, "--from-offset": from_offset, "--to-offset": to_offset},
        {"--since": since, "--until": until},
    )
    where = settings.load(kafka=kafka).kafka
    try:
        consumer = open_consumer(where)
    except KafkaError as error:
        raise explained(where, error) from None
    try:
        source: Source
        if topic is None:
            source = _letters(where, consumer, stage, reason, since, until, again)
        else:
            source = _part(where, consumer, topic, since, until, partition, from_offset, to_offset)
        if dry_run:
            _show("", survey(source), source, as_json)
            return
        _confirm(source.most, yes)
        replay_id = new_replay_id()
        with _progress(source.most, quiet=as_json) as on_sent:
            sent = send(where, source, replay_id, rate, on_sent)
    except KafkaError as error:
        raise explained(where, error) from None
    finally:
        consumer.close()
    _show(replay_id, sent, source, as_json)


def _check_form(
    dead_letters: bool,
    topic: Part | None,
    of_letters: dict[str, object],
    of_offsets: dict[str, object],
    of_times: dict[str, object],
) -> None:
    """See that the options belong together."""
    if dead_letters == (topic is not None):
        raise _usage("Say what to send: either --dead-letters or --topic.")
    for option, value in (of_offsets if dead_letters else of_letters).items():
        if value is not None and value is not False and value != []:
            raise _usage(f"{option} does not go with {'--dead-letters' if dead_letters else '--topic'}.")
    given = {option for option, value in (of_offsets | of_times).items() if value is not None}
    if topic is not None and not given & {"--since", "--until", "--from-offset"}:
        raise _usage("Say which part of the topic: --since or --until, or --partition with --from-offset.")
    if given & of_offsets.keys() and (given & of_times.keys() or not {"--partition", "--from-offset"} <= given):
        raise _usage("Offsets belong to a partition: give --partition and --from-offset together, without times.")


def _letters(
    kafka: KafkaSettings,
    consumer: KafkaConsumer,
    stages: list[StageName] | None,
    reasons: list[str] | None,
    since: datetime | None,
    until: datetime | None,
    again: bool,
) -> Source:
    from coronium.operations.replay import replayed_letters
    from coronium.operations.replay_letters import DeadLetters, LetterFilter
    from coronium.runtime.metrics import REASONS

    for reason in reasons or ():
        if reason not in REASONS:
            raise _usage(f"There is no reason {reason}; there are {', '.join(REASONS)}.")
    wanted = LetterFilter(tuple(stages or StageName), frozenset(reasons or ()), _seconds(since), _seconds(until), again)
    return DeadLetters(kafka, consumer, wanted, replayed_letters(kafka, consumer))


def _part(
    kafka: KafkaSettings,
    consumer: KafkaConsumer,
    part: Part,
    since: datetime | None,
    until: datetime | None,
    partition: int | None,
    from_offset: int | None,
    to_offset: int | None,
) -> Source:
    from coronium.operations.replay_parts import TopicPart

    topic = _TOPICS[part]
    if partition is None or from_offset is None:
        return TopicPart.between_times(kafka, consumer, topic, _seconds(since), _seconds(until))
    try:
        return TopicPart.between_offsets(kafka, consumer, topic, partition, from_offset, to_offset)
    except LookupError as error:
        raise _usage(f"{error.args[0]}.") from None


def _confirm(most: int, yes: bool) -> None:
    if most <= CONFIRM_ABOVE or yes:
        return
    if not sys.stdin.isatty():
        raise _usage(f"Up to {most} records would be sent: look with --dry-run, then confirm with --yes.")
    typer.confirm(f"Up to {most} records will be sent again. Go on?", abort=True, err=True)


@contextmanager
def _progress(most: int, quiet: bool) -> Iterator[Callable[[], object]]:
    """Show a bar on standard error while records are sent; yields what counts one."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from coronium.cli import output

    columns = (TextColumn("sending"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=output.messages(), disable=quiet or not sys.stderr.isatty()) as bar:
        task = bar.add_task("sending", total=most)
        yield lambda: bar.advance(task)


def _show(replay_id: str, summary: Summary, source: Source, as_json: bool) -> None:
    """Print what was sent, or would be where there is no replay id."""
    from rich.table import Table

    from coronium.cli import output

    if as_json:
        output.write_json(
            {
                "replay_id": replay_id,
                "sent": bool(replay_id),
                "records": summary.records,
                "bytes": summary.size,
                "groups": [
                    {"topic": topic, "stage": stage, "reason": reason, "records": number}
                    for (topic, stage, reason), number in sorted(summary.groups.items())
                ],
                "skipped": dict(sorted(source.skipped.items())),
                "first": [
                    {
                        "place": str(one.place),
                        "key": (one.key or b"").decode("utf-8", "replace"),
                        "bytes": len(one.value),
                        "stage": one.stage,
                        "reason": one.reason,
                        "detail": one.detail,
                    }
                    for one in summary.first
                ],
            }
        )
        return
    console = output.console()
    if summary.records:
        of_letters = any(stage for _, stage, _ in summary.groups)
        table = Table(header_style="bold")
        for heading in ("to topic", *(("set aside by", "reason") if of_letters else ()), "records"):
            table.add_column(heading, justify="right" if heading == "records" else "left", overflow="fold")
        for group, number in sorted(summary.groups.items()):
            table.add_row(*(group if of_letters else group[:1]), str(number))
        console.print(table)
    if not replay_id:
        for one in summary.first:
            key = (one.key or b"").decode("utf-8", "replace")
            line = f"{one.place}  {key}  {len(one.value)} bytes  {one.detail}"
            console.print(line, markup=False, no_wrap=True, overflow="ellipsis")
        if summary.records > len(summary.first):
            console.print(f"... and {summary.records - len(summary.first)} more", markup=False)
    for why, number in sorted(source.skipped.items()):
        console.print(f"passed over: {number} ({why})", markup=False)
    if replay_id:
        console.print(f"sent again: {summary.records} records, {summary.size} bytes; replay {replay_id}", markup=False)
    else:
        console.print(f"would be sent: {summary.records} records, {summary.size} bytes", markup=False)


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.replace(tzinfo=UTC).timestamp()


def _usage(sentence: str) -> Exception:
    from coronium.cli.failures import CommandError
    from coronium.runtime.errors import EXIT_USAGE

    return CommandError(sentence, EXIT_USAGE)
